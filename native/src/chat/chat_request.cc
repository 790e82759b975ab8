#include "chat/chat_request.h"

#include <utility>
#include <vector>

#include "core/error.h"
#include "grammar/reply_grammar.h"

namespace {

bool IsEmptyAssistant(const common_chat_msg& message) {
  return message.role == "assistant" && message.content.empty() &&
         message.reasoning_content.empty() && message.tool_calls.empty();
}

// Developer messages are system messages: that is the older name of the role. An empty text at the
// end is nothing that a reply could continue.
std::vector<common_chat_msg> ReadMessages(const common_json& json) {
  std::vector<common_chat_msg> messages = common_chat_msgs_parse_oaicompat(json);
  for (common_chat_msg& message : messages) {
    if (message.role == "developer") message.role = "system";
  }
  while (!messages.empty() && IsEmptyAssistant(messages.back())) messages.pop_back();
  if (messages.empty()) throw RequestRefusal("messages", "`messages` holds nothing to reply to.");
  return messages;
}

void ReadEnding(const std::string& ending, common_chat_templates_inputs* inputs) {
  const common_chat_msg& last = inputs->messages.back();
  if (ending == "closed") {
    inputs->add_generation_prompt = false;
  } else if (ending.empty() && last.role == "assistant" && last.tool_calls.empty()) {
    inputs->continue_final_message = COMMON_CHAT_CONTINUATION_AUTO;
    inputs->add_generation_prompt = false;
  }
}

common_chat_templates_inputs ReadInputs(const common_json& request,
                                        const ChatTemplate& chat_template) {
  common_chat_templates_inputs inputs;
  inputs.messages = ReadMessages(request.at("messages"));
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
  ReadEnding(request.value("ending", ""), &inputs);
  return inputs;
}

bool IsStrict(const common_json& tool) { return tool.at("function").value("strict", false); }

void ReadEnforcedTools(const common_json& json, const CallFormat& format, ChatRequest* request) {
  request->enforced_tools = json.contains("enforcedTools")
                                ? common_chat_tools_parse_oaicompat(json.at("enforcedTools"))
                                : request->inputs.tools;
  for (size_t i = 0; i < request->enforced_tools.size(); ++i) {
    common_chat_tool& tool = request->enforced_tools[i];
    const bool is_strict = IsStrict(json.at("tools").at(i));
    tool.parameters =
        format.EnforceableParameters(tool.parameters, is_strict, &request->argument_names);
    // The name that the prompt has.
    tool.name = request->inputs.tools[i].name;
    if (is_strict) request->strict_tools.insert(tool.name);
  }
}

std::vector<std::string> NamesOf(const std::vector<common_chat_tool>& tools) {
  std::vector<std::string> names;
  for (const common_chat_tool& tool : tools) names.push_back(tool.name);
  return names;
}

// Gives tools names that the chat format can tell apart, in the history as well.
void RenameTools(ChatRequest* request) {
  common_chat_templates_inputs& inputs = request->inputs;
  const std::vector<std::string> names = DistinctToolNames(NamesOf(inputs.tools));
  std::map<std::string, std::string> renamed;
  for (size_t i = 0; i < names.size(); ++i) {
    std::string& name = inputs.tools[i].name;
    if (name == names[i]) continue;
    request->tool_names.emplace(names[i], name);
    renamed.emplace(name, names[i]);
    name = names[i];
  }
  // Of tools with the same name, the history means the first.
  for (const std::string& name : names) renamed.erase(name);
  if (renamed.empty()) return;
  const auto rename = [&](std::string* name) {
    if (const auto found = renamed.find(*name); found != renamed.end()) *name = found->second;
  };
  for (common_chat_msg& message : inputs.messages) {
    for (common_chat_tool_call& call : message.tool_calls) rename(&call.name);
    if (message.role == "tool") rename(&message.tool_name);
  }
}

}  // namespace

ChatRequest ReadChatRequest(const std::string& text, const ChatTemplate& chat_template) {
  const common_json json = common_json::parse(text);
  ChatRequest request;
  request.inputs = ReadInputs(json, chat_template);
  request.content_grammar = json.value("contentGrammar", "");
  request.thinking_budget = json.value("thinkingBudget", -1);
  RenameTools(&request);
  if (request.calls_tools()) ReadEnforcedTools(json, chat_template.call_format(), &request);
  return request;
}
