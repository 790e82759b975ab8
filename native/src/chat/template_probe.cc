#include "chat/template_probe.h"

#include <common/chat-auto-parser.h>
#include <common/jinja/runtime.h>

#include <exception>
#include <stdexcept>
#include <vector>

namespace {

// A short chat as text, with `enable_thinking` set or left undefined.
std::string RenderSample(const common_chat_template& chat_template, std::optional<bool> thinking) {
  common_json variables = {
      {"messages", common_json::array({common_json{{"role", "user"}, {"content", "Hello"}}})},
      {"bos_token", ""},
      {"eos_token", ""},
      {"add_generation_prompt", true},
  };
  if (thinking) variables["enable_thinking"] = *thinking;
  jinja::context context(chat_template.source());
  jinja::global_from_json(context, variables, false);
  jinja::runtime runtime(context);
  const jinja::value results = runtime.execute(chat_template.prog);
  return jinja::runtime::gather_string_parts(results)->as_string().str();
}

// A chat of one message.
common_chat_templates_inputs SampleInputs() {
  common_chat_templates_inputs inputs;
  common_chat_msg message;
  message.role = "user";
  message.content = "Hello";
  inputs.messages = {message};
  return inputs;
}

}  // namespace

void CheckTemplate(const llama_model* model, const std::string& template_override) {
  const char* own = llama_model_chat_template(model, nullptr);
  const std::string source = template_override.empty() && own != nullptr ? own : template_override;
  if (source.empty()) return;
  try {
    const common_chat_template probe(source, "", "");
  } catch (const std::exception& error) {
    throw std::runtime_error(std::string("the chat template does not parse: ") + error.what());
  }
}

std::optional<std::string> ProbeThinkingMark(const common_chat_templates* templates) {
  common_chat_templates_inputs inputs = SampleInputs();
  inputs.reasoning_format = COMMON_REASONING_FORMAT_DEEPSEEK;
  try {
    const common_chat_params rendered = common_chat_templates_apply(templates, inputs);
    if (!rendered.supports_thinking) return std::nullopt;
    const std::string& tag = rendered.thinking_start_tag;
    const size_t first = tag.find_first_not_of(" \n");
    if (first == std::string::npos) return "";
    return tag.substr(first, tag.find_last_not_of(" \n") + 1 - first);
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

bool ThinksByDefault(const std::string& source) {
  try {
    const common_chat_template chat_template(source, "", "");
    const std::string by_default = RenderSample(chat_template, std::nullopt);
    return by_default != RenderSample(chat_template, false) ||
           by_default == RenderSample(chat_template, true);
  } catch (const std::exception&) {
    return true;
  }
}

bool HasOwnCode(const std::string& source) {
  try {
    const common_chat_template chat_template(source, "", "");
    autoparser::generation_params params;
    params.messages = common_json::array({common_json{{"role", "user"}, {"content", "Hello"}}});
    return common_chat_try_specialized_template(chat_template, chat_template.source(), params)
        .has_value();
  } catch (const std::exception&) {
    // The code was found, and failed.
    return true;
  }
}

common_chat_params ApplyPlainly(const common_chat_templates* templates,
                                common_chat_templates_inputs inputs) {
  inputs.force_pure_content = true;
  return common_chat_templates_apply(templates, inputs);
}

bool RendersPlainly(const common_chat_templates* templates) {
  common_chat_templates_inputs inputs = SampleInputs();
  const common_chat_msg question = inputs.messages.front();
  common_chat_msg answer = question;
  answer.role = "assistant";
  common_chat_msg rules = question;
  rules.role = "system";
  try {
    for (const auto& messages :
         {std::vector{question}, {question, answer, question}, {rules, question}}) {
      inputs.messages = messages;
      const common_chat_params usual = common_chat_templates_apply(templates, inputs);
      const common_chat_params plain = ApplyPlainly(templates, inputs);
      if (usual.prompt != plain.prompt || !usual.additional_stops.empty()) return false;
    }
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

std::optional<std::string> ProbeCallGrammar(const common_chat_templates* templates) {
  common_chat_templates_inputs inputs = SampleInputs();
  const std::string parameters = std::string(R"({"type": "object", "properties": {"text":)")
                                     .append(R"({"type": "string", "enum": [")")
                                     .append(kProbeValue)
                                     .append(R"("]}}, "required": ["text"]})");
  inputs.tools = {{"probe", "", parameters}};
  inputs.tool_choice = COMMON_CHAT_TOOL_CHOICE_REQUIRED;
  try {
    return common_chat_templates_apply(templates, inputs).grammar;
  } catch (const std::exception&) {
    return std::nullopt;
  }
}
