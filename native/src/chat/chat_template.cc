#include "chat/chat_template.h"

#include <common/log.h>

#include <algorithm>
#include <exception>
#include <mutex>
#include <utility>
#include <vector>

#include "chat/continued_prompt.h"
#include "chat/readable_tools.h"
#include "chat/template_probe.h"
#include "chat/template_refusal.h"
#include "core/error.h"

namespace {

// Template errors reach the client as exceptions; llama.cpp would print them to stderr as well.
void SilenceCommonLog() {
  static std::once_flag once;
  std::call_once(once, [] { common_log_set_verbosity_thold(-1); });
}

bool IsContinued(const common_chat_templates_inputs& inputs) {
  return inputs.continue_final_message != COMMON_CHAT_CONTINUATION_NONE;
}

// True if neither the messages nor the reply hold anything but text.
bool IsPlain(const common_chat_templates_inputs& inputs) {
  return !HasCalls(inputs.messages) && inputs.tools.empty() && inputs.json_schema.empty() &&
         !IsContinued(inputs);
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

// True if the prompt of a tool with an unusual schema does not show its parameters.
bool HidesSchemas(const LayoutFinder::Render& render) {
  common_chat_templates_inputs inputs;
  common_chat_msg question;
  question.role = "user";
  question.content = "Hello";
  inputs.messages = {question};
  for (const char* parameters :
       {R"({"type": "object", "properties": {"probeProperty": {}}})",
        R"({"anyOf": [{"type": "object", "properties": {"probeChoice": {}}}]})"}) {
    inputs.tools = {{"probe", "A probe", parameters}};
    try {
      if (!ShowsParameters(render(inputs), inputs.tools)) return true;
    } catch (const std::exception&) {
      return true;
    }
  }
  return false;
}

bool HaveSameTexts(const std::vector<common_chat_tool>& some,
                   const std::vector<common_chat_tool>& others) {
  return std::ranges::equal(some, others, [](const auto& one, const auto& other) {
    return one.parameters == other.parameters && one.description == other.description;
  });
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
  FindHistoryForm();
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

void ChatTemplate::FindHistoryForm() {
  const auto render = [this](const common_chat_templates_inputs& inputs) {
    return RenderArranged(inputs);
  };
  call_adapter_ = std::make_unique<const CallAdapter>(
      render, common_chat_templates_get_caps(templates_.get()).at("supports_object_arguments"));
  if (!supports_tools_ || tool_form_) return;
  tool_display_ = std::make_unique<const ToolDisplay>(render);
  hides_schemas_ = HidesSchemas(render);
  const std::string with_tools = common_chat_templates_source(templates_.get(), "tool_use");
  toolless_templates_ = common_chat_templates_init(
      nullptr,
      "{%- set tools = [] -%}" +
          (with_tools.empty() ? common_chat_templates_source(templates_.get()) : with_tools));
}

common_chat_templates_inputs ChatTemplate::Arranged(
    const common_chat_templates_inputs& inputs) const {
  common_chat_templates_inputs arranged = inputs;
  if (tool_display_) tool_display_->Show(&arranged);
  arranged.messages = layouts_->Find(arranged).Arrange(arranged.messages);
  call_adapter_->Adapt(&arranged.messages);
  return arranged;
}

common_chat_params ChatTemplate::Apply(const common_chat_templates_inputs& inputs) const {
  return WithOwnWords([&] {
    const common_chat_templates_inputs arranged = Arranged(inputs);
    common_chat_params rendered = ApplyArranged(arranged);
    if (IsContinued(arranged)) rendered.prompt = RenderArranged(arranged);
    return rendered;
  });
}

std::optional<ReplyEdges> ChatTemplate::Edges(const common_chat_templates_inputs& inputs,
                                              const common_chat_params& rendered) const {
  std::optional<ReplyEdges> edges = FindReplyEdges(templates_.get(), Arranged(inputs));
  return edges ? edges : ReplyEdgesOf(rendered);
}

std::string ChatTemplate::SchemaGrammar(const common_chat_templates_inputs& inputs,
                                        const common_chat_params& rendered) const {
  return ReplyFormGrammar(rendered, Edges(inputs, rendered), inputs.enable_thinking,
                          common_json::parse(inputs.json_schema));
}

std::string ChatTemplate::ContentGrammar(const common_chat_templates_inputs& inputs,
                                         const common_chat_params& rendered,
                                         const std::string& content) const {
  const std::optional<ReplyEdges> edges = Edges(inputs, rendered);
  return TextReply(
      [&](const common_json& schema) {
        return ReplyFormGrammar(rendered, edges, inputs.enable_thinking, schema, Gap::kAsShown);
      },
      content);
}

std::vector<std::string> ChatTemplate::ReplyHeaders(const common_chat_templates_inputs& inputs,
                                                    const common_chat_params& rendered) const {
  std::vector<std::string> headers = {rendered.generation_prompt};
  const common_chat_templates_inputs arranged = Arranged(inputs);
  if (const auto edges = FindReplyEdges(templates_.get(), arranged)) {
    headers.push_back(edges->opening + edges->closing);
  }
  // The header of a reply to one question: after a result some templates have none.
  common_chat_templates_inputs question = inputs;
  common_chat_msg message;
  message.role = "user";
  message.content = "Hello";
  question.messages = {message};
  question.continue_final_message = COMMON_CHAT_CONTINUATION_NONE;
  question.add_generation_prompt = true;
  question.tools.clear();
  for (const bool thinks : {inputs.enable_thinking, !inputs.enable_thinking}) {
    question.enable_thinking = thinks;
    headers.push_back(common_chat_templates_apply(templates_.get(), question).generation_prompt);
  }
  return headers;
}

std::vector<std::string> ChatTemplate::Changes(const common_chat_templates_inputs& inputs) const {
  common_chat_templates_inputs shown = inputs;
  if (tool_display_) tool_display_->Show(&shown);
  std::vector<std::string> changes = layouts_->Find(shown).changes();
  if (tool_display_ && tool_display_->in_words() && !inputs.tools.empty()) {
    changes.push_back("tools-in-words");
  }
  return changes;
}

// The prompt of the model's template, with the reply's form of the same without its end token.
common_chat_params ChatTemplate::ApplyArranged(const common_chat_templates_inputs& inputs) const {
  if (renders_plainly_ && IsPlain(inputs)) return ApplyPlainly(templates_.get(), inputs);
  common_chat_params rendered;
  try {
    rendered = common_chat_templates_apply(templates_.get(), inputs);
  } catch (const std::exception&) {
    if (inputs.tools.empty() || !toolless_templates_) throw;
    std::string prompt = RenderArranged(inputs);
    rendered = common_chat_templates_apply(toolless_templates_.get(), inputs);
    rendered.prompt = std::move(prompt);
    return rendered;
  }
  if (hides_schemas_ && !ShowsParameters(rendered.prompt, inputs.tools)) {
    rendered.prompt = RenderArranged(inputs);
  }
  if (!unmarked_templates_ || inputs.tools.empty()) return rendered;
  common_chat_params form = common_chat_templates_apply(unmarked_templates_.get(), inputs);
  form.prompt = std::move(rendered.prompt);
  return form;
}

std::string ChatTemplate::RenderPrompt(const common_chat_templates_inputs& inputs) const {
  return WithOwnWords([&] { return RenderArranged(Arranged(inputs)); });
}

std::string ChatTemplate::RenderArranged(const common_chat_templates_inputs& inputs) const {
  // A template that writes schemas in its own notation may fail on unusual ones, or leave them out.
  std::optional<std::string> incomplete;
  std::exception_ptr failure;
  common_chat_templates_inputs shown = inputs;
  for (const auto reader : {std::optional<SchemaReader>(), std::optional(SchemaReader::kTypes),
                            std::optional(SchemaReader::kScalars)}) {
    if (reader) {
      std::vector<common_chat_tool> tools = ReadableTools(inputs.tools, *reader);
      if (HaveSameTexts(tools, shown.tools)) continue;
      shown.tools = std::move(tools);
    }
    try {
      std::string prompt = RenderAsGiven(shown);
      if (!hides_schemas_ || ShowsParameters(prompt, inputs.tools)) return prompt;
      if (!incomplete) incomplete = std::move(prompt);
    } catch (const std::exception&) {
      if (!failure) failure = std::current_exception();
    }
  }
  if (!incomplete) std::rethrow_exception(failure);
  return *incomplete;
}

std::string ChatTemplate::RenderAsGiven(const common_chat_templates_inputs& inputs) const {
  // The parser of a reply needs llama.cpp's rendering of a continued one as well.
  std::string prompt = RenderWithoutReply(inputs);
  if (!IsContinued(inputs)) return prompt;
  std::optional<std::string> continued =
      ContinuedPrompt(inputs, [this](const auto& written) { return RenderWithoutReply(written); });
  return continued ? *std::move(continued) : ContinuedHeader(inputs);
}

// Without a call, llama.cpp builds no grammar of the tools' schemas. The beginning of a continued
// reply is left out.
std::string ChatTemplate::RenderWithoutReply(const common_chat_templates_inputs& inputs) const {
  common_chat_templates_inputs shown = inputs;
  shown.tool_choice = COMMON_CHAT_TOOL_CHOICE_NONE;
  shown.json_schema.clear();
  shown.force_pure_content = !has_own_code_;
  return common_chat_templates_apply(templates_.get(), shown).prompt;
}

// llama.cpp's beginning of the reply, behind the prompt of the messages before it. llama.cpp itself
// puts it behind the end that some templates give to a chat without a reply (Phi 3.5).
std::string ChatTemplate::ContinuedHeader(const common_chat_templates_inputs& inputs) const {
  const common_chat_params continued = common_chat_templates_apply(templates_.get(), inputs);
  common_chat_templates_inputs before = inputs;
  before.messages.pop_back();
  before.continue_final_message = COMMON_CHAT_CONTINUATION_NONE;
  before.add_generation_prompt = true;
  const common_chat_params begun = common_chat_templates_apply(templates_.get(), before);
  if (!begun.prompt.ends_with(begun.generation_prompt)) return continued.prompt;
  return begun.prompt.substr(0, begun.prompt.size() - begun.generation_prompt.size()) +
         continued.generation_prompt;
}
