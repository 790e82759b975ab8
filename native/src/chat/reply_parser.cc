#include "chat/reply_parser.h"

#include <exception>
#include <utility>

namespace {

// The line break before the mark that ends the reasoning is part of the format.
std::string WithoutTrailingSpace(const std::string& text) {
  return text.substr(0, text.find_last_not_of(" \n\r\t") + 1);
}

// Tells what `now` has beyond `told`. Nothing where the parser took something back, which happens
// when the beginning of a mark was taken for text.
void TellText(ReplyDelta::Kind kind, const std::string& now, std::string* told,
              std::vector<ReplyDelta>* deltas) {
  if (now.size() <= told->size() || !now.starts_with(*told)) return;
  ReplyDelta delta;
  delta.kind = kind;
  delta.text = now.substr(told->size());
  *told = now;
  deltas->push_back(std::move(delta));
}

}  // namespace

ReplyParser::ReplyParser(std::shared_ptr<const ReplyFormat> format) : format_(std::move(format)) {
  if (!format_->params.is_continuation) return;
  // The beginning that the client gave is part of what is parsed, and not of what is told.
  common_chat_msg given;
  if (!Parse(true, &given)) return;
  reasoning_ = given.reasoning_content;
  content_ = given.content;
}

std::vector<ReplyDelta> ReplyParser::Push(const std::string& text, bool is_last) {
  text_ += text;
  std::vector<ReplyDelta> deltas;
  common_chat_msg message;
  // A reply that was cut, or is not what the format foresees, may still begin like it.
  if (Parse(!is_last, &message)) {
    Tell(message, is_last, &deltas);
  } else if (is_last) {
    if (Parse(true, &message)) Tell(message, is_last, &deltas);
    TellRest(&deltas);
  }
  return deltas;
}

bool ReplyParser::Parse(bool is_partial, common_chat_msg* message) const {
  try {
    *message = common_chat_parse(text_, is_partial, format_->params);
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

void ReplyParser::Tell(const common_chat_msg& message, bool is_last,
                       std::vector<ReplyDelta>* deltas) {
  TellText(ReplyDelta::Kind::kReasoning, WithoutTrailingSpace(message.reasoning_content),
           &reasoning_, deltas);
  TellText(ReplyDelta::Kind::kContent, message.content, &content_, deltas);

  const auto& calls = message.tool_calls;
  if (calls_.size() < calls.size()) calls_.resize(calls.size());
  for (size_t i = 0; i < calls.size(); ++i) {
    SentCall& sent = calls_[i];
    const common_chat_tool_call& call = calls[i];
    ReplyDelta delta;
    delta.kind = ReplyDelta::Kind::kToolCall;
    delta.call_index = static_cast<int32_t>(i);
    // A name may still grow until something follows it.
    const bool is_named = !call.arguments.empty() || i + 1 < calls.size() || is_last;
    if (!sent.announced && is_named && !call.name.empty()) {
      sent.announced = true;
      delta.call_name = call.name;
      delta.call_id = call.id;
    }
    if (!sent.announced) break;
    if (call.arguments.size() > sent.n_argument_bytes) {
      delta.text = call.arguments.substr(sent.n_argument_bytes);
      sent.n_argument_bytes = call.arguments.size();
    }
    if (!delta.text.empty() || !delta.call_name.empty()) deltas->push_back(std::move(delta));
  }
}

// Text that follows no format is content: better shown than lost. Some look like a call up to
// their end.
void ReplyParser::TellRest(std::vector<ReplyDelta>* deltas) {
  if (!calls_.empty() || !reasoning_.empty()) return;
  TellText(ReplyDelta::Kind::kContent, text_, &content_, deltas);
}
