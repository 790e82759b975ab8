#include "chat/chat_template.h"

#include <common/log.h>

#include <algorithm>
#include <exception>
#include <mutex>
#include <optional>
#include <utility>

#include "chat/template_probe.h"
#include "chat/template_refusal.h"
#include "core/error.h"

namespace {

// Template errors reach the client as exceptions; llama.cpp would print them to stderr as well.
void SilenceCommonLog() {
  static std::once_flag once;
  std::call_once(once, [] { common_log_set_verbosity_thold(-1); });
}

// True if neither the messages nor the reply hold anything but text.
bool IsPlain(const common_chat_templates_inputs& inputs) {
  const bool has_calls = std::ranges::any_of(inputs.messages, [](const common_chat_msg& message) {
    return message.role == "tool" || !message.tool_calls.empty();
  });
  return !has_calls && inputs.tools.empty() && inputs.json_schema.empty() &&
         inputs.continue_final_message == COMMON_CHAT_CONTINUATION_NONE;
}

// The result of `render`. What the template says against the messages is thrown as one sentence.
template <class Render>
auto WithOwnWords(const Render& render) {
  try {
    return render();
  } catch (const std::exception& error) {
    if (!IsTemplateError(error)) throw;
    throw RequestRefusal("messages", TemplateRefusal(error));
  }
}

}  // namespace

ChatTemplate::ChatTemplate(const llama_model* model, const std::string& template_override) {
  SilenceCommonLog();
  CheckTemplate(model, template_override);
  templates_ = common_chat_templates_init(model, template_override);
  const std::optional<std::string> thinking_mark = ProbeThinkingMark(templates_.get());
  supports_thinking_ = thinking_mark.has_value();
  thinks_by_default_ =
      supports_thinking_ && ThinksByDefault(common_chat_templates_source(templates_.get()));
  renders_plainly_ = !supports_thinking_ && RendersPlainly(templates_.get());
  has_own_code_ = HasOwnCode(common_chat_templates_source(templates_.get()));
  layouts_ = std::make_unique<const LayoutFinder>(
      [this](const common_chat_templates_inputs& inputs) { return RenderArranged(inputs); },
      common_chat_templates_get_caps(templates_.get()).at("supports_system_role"));
  FindCallFormat();
  if (!supports_tools_ &&
      thinking_mark.value_or(ToolForm::kThinkingMark) == ToolForm::kThinkingMark) {
    tool_form_ = std::make_unique<const ToolForm>(model);
    supports_parallel_calls_ = tool_form_->calls_in_parallel();
    supports_tools_ = true;
    call_format_ = CallFormat();
  }
}

void ChatTemplate::FindCallFormat() {
  const auto capabilities = common_chat_templates_get_caps(templates_.get());
  std::optional<std::string> call_grammar = ProbeCallGrammar(templates_.get());
  supports_parallel_calls_ = capabilities.at("supports_parallel_tool_calls");
  supports_tools_ = (capabilities.at("supports_tools") || capabilities.at("supports_tool_calls")) &&
                    call_grammar != "";
  // An end token that looks like a mark can mislead llama.cpp's analysis (Mistral Small 3.2). The
  // form of a reply does not need it, and then comes from the same template without the token.
  if (supports_tools_ && common_chat_templates_source(templates_.get(), "tool_use").empty()) {
    unmarked_templates_ =
        common_chat_templates_init(nullptr, common_chat_templates_source(templates_.get()));
    std::optional<std::string> unmarked = ProbeCallGrammar(unmarked_templates_.get());
    if (unmarked == call_grammar) unmarked_templates_.reset();
    call_grammar = std::move(unmarked);
  }
  if (call_grammar) call_format_ = CallFormat(*call_grammar, kProbeValue);
}

common_chat_templates_inputs ChatTemplate::Arranged(
    const common_chat_templates_inputs& inputs) const {
  common_chat_templates_inputs arranged = inputs;
  arranged.messages = layouts_->Find(inputs).Arrange(inputs.messages);
  return arranged;
}

common_chat_params ChatTemplate::Apply(const common_chat_templates_inputs& inputs) const {
  return WithOwnWords([&] { return ApplyArranged(Arranged(inputs)); });
}

// The prompt of the model's template, with the reply's form of the same without its end token.
common_chat_params ChatTemplate::ApplyArranged(const common_chat_templates_inputs& inputs) const {
  if (renders_plainly_ && IsPlain(inputs)) return ApplyPlainly(templates_.get(), inputs);
  common_chat_params rendered = common_chat_templates_apply(templates_.get(), inputs);
  if (!unmarked_templates_ || inputs.tools.empty()) return rendered;
  common_chat_params form = common_chat_templates_apply(unmarked_templates_.get(), inputs);
  form.prompt = std::move(rendered.prompt);
  return form;
}

std::string ChatTemplate::RenderPrompt(const common_chat_templates_inputs& inputs) const {
  return WithOwnWords([&] { return RenderArranged(Arranged(inputs)); });
}

// Without a call, llama.cpp builds no grammar of the tools' schemas.
std::string ChatTemplate::RenderArranged(const common_chat_templates_inputs& inputs) const {
  common_chat_templates_inputs shown = inputs;
  shown.tool_choice = COMMON_CHAT_TOOL_CHOICE_NONE;
  shown.force_pure_content = !has_own_code_;
  return common_chat_templates_apply(templates_.get(), shown).prompt;
}
