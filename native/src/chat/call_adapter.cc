#include "chat/call_adapter.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "chat/call_ids.h"

namespace {

// Of JSON within each other: templates render arguments recursively.
constexpr int kMaxDepth = 64;
constexpr const char* kShortId = "call00001";

bool IsDeep(const std::string& json) {
  int depth = 0;
  bool in_text = false;
  for (size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (in_text && c == '\\') {
      ++i;
    } else if (c == '"') {
      in_text = !in_text;
    } else if (!in_text && (c == '{' || c == '[')) {
      if (++depth > kMaxDepth) return true;
    } else if (!in_text && (c == '}' || c == ']')) {
      --depth;
    }
  }
  return false;
}

bool IsObject(const std::string& text) {
  if (IsDeep(text)) return false;
  const common_json value = common_json::parse_no_throw(text);
  return !value.is_discarded() && value.is_object();
}

// The JSON object that `text` stands for; none where it stands for something else.
std::optional<std::string> ObjectText(const std::string& text) {
  if (text.find_first_not_of(" \t\r\n") == std::string::npos) return "{}";
  if (IsDeep(text)) return std::nullopt;
  const common_json value = common_json::parse_no_throw(text);
  if (value.is_discarded()) return std::nullopt;
  if (value.is_object()) return text;
  if (value.is_null()) return "{}";
  // Some clients write the text of the object as JSON once more.
  if (!value.is_string()) return std::nullopt;
  auto inner = value.get<std::string>();
  if (!IsObject(inner)) return std::nullopt;
  return inner;
}

common_chat_msg Message(const std::string& role, const std::string& content) {
  common_chat_msg message;
  message.role = role;
  message.content = content;
  return message;
}

// A conversation with a call, its result and an answer.
common_chat_templates_inputs SampleCall(const std::string& id, const std::string& arguments) {
  common_chat_msg calling = Message("assistant", "");
  calling.tool_calls.push_back({"probe", arguments, id});
  common_chat_msg result = Message("tool", "result");
  result.tool_name = "probe";
  result.tool_call_id = id;
  common_chat_templates_inputs inputs;
  inputs.messages = {Message("user", "Hello"), calling, result, Message("assistant", "Done."),
                     Message("user", "Thanks.")};
  return inputs;
}

std::optional<std::string> Rendered(const CallAdapter::Render& render,
                                    const common_chat_templates_inputs& inputs) {
  try {
    return render(inputs);
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

}  // namespace

bool HasCalls(const std::vector<common_chat_msg>& messages) {
  return std::ranges::any_of(messages, [](const common_chat_msg& message) {
    return message.role == "tool" || !message.tool_calls.empty();
  });
}

CallAdapter::CallAdapter(const Render& render, bool parses_arguments)
    : parses_arguments_(parses_arguments) {
  wants_short_ids_ = Rendered(render, SampleCall(kShortId, "{}")) &&
                     !Rendered(render, SampleCall("call_0123456789abcdefghijABCD", "{}"));
  constexpr const char* kText = "{\"probe text\": \"pro";
  const std::string text = parses_arguments ? common_json::make(kText).dump() : kText;
  const std::optional<std::string> prompt = Rendered(render, SampleCall(kShortId, text));
  shows_text_arguments_ = prompt && prompt->find(kText) != std::string::npos;
}

void CallAdapter::Adapt(std::vector<common_chat_msg>* messages) const {
  if (wants_short_ids_) ShortenIds(messages);
  for (common_chat_msg& message : *messages) {
    for (common_chat_tool_call& call : message.tool_calls) {
      call.arguments = Adapted(call.arguments);
    }
  }
}

std::string CallAdapter::Adapted(const std::string& arguments) const {
  if (std::optional<std::string> object = ObjectText(arguments)) return *std::move(object);
  if (!shows_text_arguments_) return common_json({{"arguments", arguments}}).dump();
  return parses_arguments_ ? common_json::make(arguments).dump() : arguments;
}
