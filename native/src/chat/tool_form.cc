#include "chat/tool_form.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

// Only read for its form; its prompts are never used.
constexpr const char* kTemplate = R"({%- if tools -%}
    {{- '<|im_start|>system\n<tools>\n' -}}
    {%- for tool in tools -%}
        {{- (tool.function | tojson) + '\n' -}}
    {%- endfor -%}
    {{- '</tools><|im_end|>\n' -}}
{%- endif -%}
{%- for message in messages -%}
    {%- if message.role == 'tool' -%}
        {{- '<|im_start|>user\n<tool_response>\n' + message.content + '\n</tool_response><|im_end|>\n' -}}
    {%- elif message.role == 'assistant' -%}
        {{- '<|im_start|>assistant\n' -}}
        {%- if message.reasoning_content -%}
            {{- '<think>\n' + message.reasoning_content + '\n</think>\n\n' -}}
        {%- endif -%}
        {{- message.content or '' -}}
        {%- for call in message.tool_calls or [] -%}
            {%- if message.content or not loop.first -%}
                {{- '\n' -}}
            {%- endif -%}
            {{- '<tool_call>\n{"name": "' + call.function.name + '", "arguments": ' -}}
            {{- call.function.arguments if call.function.arguments is string else call.function.arguments | tojson -}}
            {{- '}\n</tool_call>' -}}
        {%- endfor -%}
        {{- '<|im_end|>\n' -}}
    {%- else -%}
        {{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' -}}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- '<|im_start|>assistant\n' -}}
    {%- if opens_thought is defined and opens_thought -%}
        {{- '<think>\n' -}}
    {%- endif -%}
{%- endif -%})";

std::string CallInWords(const common_chat_tool_call& call) {
  return "<tool_call>\n{\"name\": " + common_json::make(call.name).dump() +
         ", \"arguments\": " + (call.arguments.empty() ? "{}" : call.arguments) + "}\n</tool_call>";
}

}  // namespace

std::string ToolsInWords(const std::vector<common_chat_tool>& tools, const std::string& example) {
  std::string text = "You can call these functions, one JSON description a line:\n<tools>\n";
  for (const common_chat_tool& tool : tools) {
    const common_json description = {
        {"name", tool.name},
        {"description", tool.description},
        {"parameters", common_json::parse(tool.parameters.empty() ? "{}" : tool.parameters)},
    };
    text += description.dump() + "\n";
  }
  text += "</tools>";
  if (example.empty()) return text;
  return text + "\nTo call one, write its name and arguments in this form:\n" + example;
}

void AddToSystemMessage(const std::string& text, std::vector<common_chat_msg>* messages) {
  if (messages->empty() || messages->front().role != "system") {
    common_chat_msg system;
    system.role = "system";
    messages->insert(messages->begin(), std::move(system));
  }
  std::string& content = messages->front().content;
  content += (content.empty() ? "" : "\n\n") + text;
}

ToolForm::ToolForm(const llama_model* model)
    : templates_(common_chat_templates_init(model, kTemplate)) {}

std::vector<common_chat_msg> ToolForm::HistoryInWords(
    const std::vector<common_chat_msg>& messages) {
  std::vector<common_chat_msg> written;
  // Many templates want turns to alternate.
  bool after_result = false;
  for (common_chat_msg message : messages) {
    for (const common_chat_tool_call& call : std::exchange(message.tool_calls, {})) {
      if (!message.content.empty()) message.content += "\n";
      message.content += CallInWords(call);
    }
    const bool is_result = message.role == "tool";
    if (is_result) {
      message.role = "user";
      message.content = "<tool_response>\n" + message.content + "\n</tool_response>";
      message.tool_name.clear();
      message.tool_call_id.clear();
    }
    if (after_result && message.role == "user") {
      written.back().content += (is_result ? "\n" : "\n\n") + message.content;
    } else {
      written.push_back(std::move(message));
    }
    after_result = is_result;
  }
  return written;
}

common_chat_templates_inputs ToolForm::InWords(const common_chat_templates_inputs& inputs) {
  common_chat_templates_inputs written = inputs;
  written.messages = HistoryInWords(inputs.messages);
  written.tools.clear();
  written.tool_choice = COMMON_CHAT_TOOL_CHOICE_NONE;
  if (inputs.tools.empty()) return written;
  const std::string tools =
      ToolsInWords(inputs.tools,
                   "<tool_call>\n{\"name\": ..., \"arguments\": {...}}\n</tool_call>") +
      "\nIts result comes back between <tool_response> and </tool_response>.";
  AddToSystemMessage(tools, &written.messages);
  return written;
}

common_chat_params ToolForm::ReplyForm(common_chat_templates_inputs inputs,
                                       const std::string& prompt) const {
  const size_t end = prompt.find_last_not_of(" \n");
  const bool opens_thought = end != std::string::npos &&
                             std::string_view(prompt).substr(0, end + 1).ends_with(kThinkingMark);
  inputs.chat_template_kwargs["opens_thought"] = opens_thought ? "true" : "false";
  // The form depends on nothing before the last message.
  inputs.messages.erase(inputs.messages.begin(), inputs.messages.end() - 1);
  common_chat_msg& last = inputs.messages.front();
  last.tool_calls.clear();
  if (last.role != "assistant") last.role = "user";
  return common_chat_templates_apply(templates_.get(), inputs);
}

bool ToolForm::calls_in_parallel() const {
  return common_chat_templates_get_caps(templates_.get()).at("supports_parallel_tool_calls");
}
