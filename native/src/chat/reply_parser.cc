#include "chat/reply_parser.h"

#include <exception>
#include <utility>

namespace {

// The line break before the mark that ends the reasoning is part of the format.
std::string WithoutTrailingSpace(const std::string& text) {
  return text.substr(0, text.find_last_not_of(" \n\r\t") + 1);
}

// Brackets within each other: llama.cpp's parser is recursive.
constexpr size_t kMaxDepth = 200;

bool IsSpace(const std::string& text) { return text.find_first_not_of(" \n") == text.npos; }

// Emits the part of `now` behind `emitted`. Nothing where the parser took something back, which
// happens when it took the beginning of a mark for text.
void EmitText(ReplyDelta::Kind kind, const std::string& now, std::string* emitted,
              std::vector<ReplyDelta>* deltas) {
  if (now.size() <= emitted->size() || !now.starts_with(*emitted)) return;
  ReplyDelta delta;
  delta.kind = kind;
  delta.text = now.substr(emitted->size());
  *emitted = now;
  deltas->push_back(std::move(delta));
}

}  // namespace

ReplyParser::ReplyParser(std::shared_ptr<const ReplyFormat> format) : format_(std::move(format)) {
  depth_.Push(format_->params.generation_prompt);
  common_chat_msg given;
  if (!Parse(true, &given)) return;
  if (format_->params.is_continuation) {
    // The beginning that the client gave is parsed, but not emitted.
    reasoning_ = given.reasoning_content;
    content_ = given_content_ = given.content;
  } else if (IsSpace(given.content)) {
    header_space_ = given.content;
  }
}

std::vector<ReplyDelta> ReplyParser::Push(const std::string& text, bool is_last) {
  text_ += text;
  depth_.Push(text);
  std::vector<ReplyDelta> deltas;
  common_chat_msg message;
  // A reply that was cut, or has another format, may still begin like the format.
  if (Parse(!is_last, &message)) {
    Emit(message, is_last, &deltas);
  } else if (is_last) {
    if (Parse(true, &message)) Emit(message, is_last, &deltas);
    EmitRemainder(&deltas);
  }
  return deltas;
}

bool ReplyParser::Parse(bool is_partial, common_chat_msg* message) const {
  if (depth_.deepest() > kMaxDepth) return false;
  try {
    *message = common_chat_parse(text_, is_partial, format_->params);
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

void ReplyParser::Emit(const common_chat_msg& message, bool is_last,
                       std::vector<ReplyDelta>* deltas) {
  EmitText(ReplyDelta::Kind::kReasoning, WithoutTrailingSpace(message.reasoning_content),
           &reasoning_, deltas);
  const bool has_space = message.content.starts_with(header_space_);
  EmitText(ReplyDelta::Kind::kContent,
           has_space ? message.content.substr(header_space_.size()) : message.content, &content_,
           deltas);

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
      const auto client_name = format_->tool_names.find(call.name);
      delta.call_name = client_name == format_->tool_names.end() ? call.name : client_name->second;
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

// Text without the expected format is content: better shown than lost. Some looks like a call up to
// its end.
void ReplyParser::EmitRemainder(std::vector<ReplyDelta>* deltas) {
  if (!calls_.empty() || !reasoning_.empty()) return;
  EmitText(ReplyDelta::Kind::kContent, given_content_ + text_, &content_, deltas);
}
