#include "chat/tool_display.h"

#include <algorithm>
#include <exception>
#include <optional>
#include <utility>
#include <vector>

#include "chat/tool_form.h"

namespace {

constexpr const char* kProbeTool = "probeTool";
constexpr const char* kExampleName = "function_name";
constexpr const char* kExampleValue = "value";

common_chat_msg Message(const std::string& role, const std::string& content) {
  common_chat_msg message;
  message.role = role;
  message.content = content;
  return message;
}

std::string FunctionsText(const std::vector<common_chat_tool>& tools) {
  common_json functions = common_json::array();
  for (const common_json& tool : common_chat_tools_to_json_oaicompat(tools)) {
    functions.push_back(tool.at("function"));
  }
  return functions.dump();
}

// Templates with this variable add it to a text.
void AddFunctions(common_chat_templates_inputs* inputs) {
  inputs->chat_template_kwargs["functions"] =
      common_json::make(FunctionsText(inputs->tools)).dump();
}

std::optional<std::string> Rendered(const ToolDisplay::Render& render,
                                    const common_chat_templates_inputs& inputs) {
  try {
    return render(inputs);
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

size_t CommonPrefix(const std::string& one, const std::string& other) {
  const auto [end, _] = std::ranges::mismatch(one, other);
  return static_cast<size_t>(end - one.begin());
}

// What a template writes for a call: between what precedes every reply and what ends every turn.
std::string ExampleCall(const ToolDisplay::Render& render) {
  common_chat_templates_inputs question;
  question.enable_thinking = false;
  question.messages = {Message("user", "Hello")};
  common_chat_templates_inputs text = question;
  text.messages.push_back(Message("assistant", "text"));
  common_chat_templates_inputs calling = question;
  calling.messages.push_back(Message("assistant", ""));
  const std::string arguments = common_json({{"argument_name", kExampleValue}}).dump();
  calling.messages.back().tool_calls.push_back({kExampleName, arguments, "call00001"});
  const auto opening = Rendered(render, question);
  text.add_generation_prompt = calling.add_generation_prompt = false;
  const auto turn = Rendered(render, text);
  const auto call = Rendered(render, calling);
  if (!opening || !turn || !call) return "";
  std::string example = call->substr(CommonPrefix(*call, *opening));
  const size_t text_end = turn->rfind("text");
  if (text_end == std::string::npos) return "";
  const std::string closing = turn->substr(text_end + std::string("text").size());
  const size_t value = example.rfind(kExampleValue);
  if (value == std::string::npos || example.find(kExampleName) == std::string::npos) return "";
  if (!closing.empty()) example = example.substr(0, example.find(closing, value));
  return example;
}

}  // namespace

ToolDisplay::ToolDisplay(const Render& render) {
  common_chat_templates_inputs inputs;
  inputs.messages = {Message("user", "Hello")};
  inputs.tools = {{kProbeTool, "A probe", R"({"type": "object", "properties": {}})"}};
  const auto shows_tool = [&] {
    const std::optional<std::string> prompt = Rendered(render, inputs);
    // A template that refuses the probe shows nothing else either.
    return !prompt || prompt->find(kProbeTool) != std::string::npos;
  };
  if (shows_tool()) return;
  AddFunctions(&inputs);
  place_ = shows_tool() ? Place::kFunctionsText : Place::kSystemMessage;
  if (in_words()) example_ = ExampleCall(render);
}

void ToolDisplay::Show(common_chat_templates_inputs* inputs) const {
  if (inputs->tools.empty() || place_ == Place::kTemplate) return;
  if (place_ == Place::kFunctionsText) return AddFunctions(inputs);
  AddToSystemMessage(ToolsInWords(inputs->tools, example_), &inputs->messages);
}
