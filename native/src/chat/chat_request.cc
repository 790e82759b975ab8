#include "chat/chat_request.h"

#include <stdexcept>

namespace {

common_chat_templates_inputs ReadInputs(const common_json& request,
                                        const ChatTemplate& chat_template) {
  common_chat_templates_inputs inputs;
  inputs.messages = common_chat_msgs_parse_oaicompat(request.at("messages"));
  if (inputs.messages.empty()) throw std::invalid_argument("there are no messages");
  if (request.contains("tools")) {
    inputs.tools = common_chat_tools_parse_oaicompat(request.at("tools"));
  }
  inputs.tool_choice = common_chat_tool_choice_parse_oaicompat(request.value("toolChoice", "auto"));
  inputs.parallel_tool_calls =
      request.value("parallelToolCalls", chat_template.supports_parallel_calls());
  if (request.contains("jsonSchema")) inputs.json_schema = request.at("jsonSchema").dump();
  inputs.grammar = request.value("grammar", "");
  inputs.enable_thinking = request.value("thinking", chat_template.thinks_by_default());
  // Separates reasoning from content wherever the template marks it.
  inputs.reasoning_format = COMMON_REASONING_FORMAT_DEEPSEEK;
  if (request.contains("templateArguments")) {
    for (const auto& [name, value] : request.at("templateArguments").items()) {
      inputs.chat_template_kwargs[name] = value.dump();
    }
  }
  const common_chat_msg& last = inputs.messages.back();
  if (last.role == "assistant" && last.tool_calls.empty()) {
    inputs.continue_final_message = COMMON_CHAT_CONTINUATION_AUTO;
    inputs.add_generation_prompt = false;
  }
  return inputs;
}

std::vector<common_chat_tool> ReadEnforcedTools(const common_json& request,
                                                const std::vector<common_chat_tool>& shown,
                                                const CallFormat& format) {
  std::vector<common_chat_tool> tools =
      request.contains("enforcedTools")
          ? common_chat_tools_parse_oaicompat(request.at("enforcedTools"))
          : shown;
  for (common_chat_tool& tool : tools) {
    tool.parameters = format.EnforceableParameters(tool.parameters);
  }
  return tools;
}

}  // namespace

ChatRequest ReadChatRequest(const std::string& text, const ChatTemplate& chat_template) {
  const common_json json = common_json::parse(text);
  ChatRequest request;
  request.inputs = ReadInputs(json, chat_template);
  request.thinking_budget = json.value("thinkingBudget", -1);
  if (request.calls_tools()) {
    request.enforced_tools =
        ReadEnforcedTools(json, request.inputs.tools, chat_template.call_format());
  }
  return request;
}
