#include "chat/chat.h"

#include <common/chat.h>
#include <common/jinja/runtime.h>
#include <common/json-schema-to-grammar.h>
#include <common/log.h>

#include <algorithm>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "chat/reply_parser.h"
#include "chat/tool_form.h"
#include "grammar/call_arguments.h"
#include "grammar/call_grammar.h"
#include "llama/model.h"

namespace {

// Template errors reach the client as exceptions; llama.cpp would print them to stderr as well.
void SilenceCommonLog() {
  static std::once_flag once;
  std::call_once(once, [] { common_log_set_verbosity_thold(-1); });
}

// common_chat_templates_init forgets why a template did not parse; parsing it first tells.
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

// A short chat, with `enable_thinking` set or left undefined.
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

// What begins a thought in replies, without blanks around it; nothing where the template has no
// place for reasoning.
std::optional<std::string> ThinkingMark(const common_chat_templates* templates) {
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

bool IsPlain(const common_chat_templates_inputs& inputs) {
  const bool has_calls = std::ranges::any_of(inputs.messages, [](const common_chat_msg& message) {
    return message.role == "tool" || !message.tool_calls.empty();
  });
  return !has_calls && inputs.tools.empty() && inputs.json_schema.empty() &&
         inputs.continue_final_message == COMMON_CHAT_CONTINUATION_NONE;
}

common_chat_params ApplyPlainly(const common_chat_templates* templates,
                                common_chat_templates_inputs inputs) {
  inputs.force_pure_content = true;
  return common_chat_templates_apply(templates, inputs);
}

// Whether plain chats of a template without reasoning need nothing but to be rendered: then
// llama.cpp can be kept from looking anew at how its replies look, which takes most of the time.
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

// Of the schema of the sample tool. In a grammar only where arguments are JSON.
constexpr std::string_view kSampleValue = "sample-value";

// The grammar of a reply that has to call; empty where llama.cpp cannot see how calls are written:
// some templates show tools, but no history with a call. Nothing where the template refuses.
std::optional<std::string> SampleCallGrammar(const common_chat_templates* templates) {
  common_chat_templates_inputs inputs = SampleInputs();
  const std::string parameters = std::string(R"({"type": "object", "properties": {"text":)")
                                     .append(R"({"type": "string", "enum": [")")
                                     .append(kSampleValue)
                                     .append(R"("]}}, "required": ["text"]})");
  inputs.tools = {{"probe", "", parameters}};
  inputs.tool_choice = COMMON_CHAT_TOOL_CHOICE_REQUIRED;
  try {
    return common_chat_templates_apply(templates, inputs).grammar;
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

// llama.cpp always tells the template whether to reason. Without being told, some templates do
// (Qwen3's) and some do not; where that cannot be seen, they do.
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

// Whether the prompt ends with a thought, perhaps an empty one, that is over.
bool HasClosedThought(const common_chat_params& rendered) {
  const std::string& prompt = rendered.generation_prompt;
  const size_t begin = prompt.rfind(rendered.thinking_start_tag);
  return begin != std::string::npos &&
         std::ranges::any_of(rendered.thinking_end_tags, [&](const std::string& tag) {
           return prompt.find(tag, begin + rendered.thinking_start_tag.size()) != std::string::npos;
         });
}

common_chat_templates_inputs ReadRequest(const common_json& request, bool thinks_by_default,
                                         bool calls_in_parallel) {
  common_chat_templates_inputs inputs;
  inputs.messages = common_chat_msgs_parse_oaicompat(request.at("messages"));
  if (inputs.messages.empty()) throw std::invalid_argument("there are no messages");
  if (request.contains("tools")) {
    inputs.tools = common_chat_tools_parse_oaicompat(request.at("tools"));
  }
  inputs.tool_choice = common_chat_tool_choice_parse_oaicompat(request.value("toolChoice", "auto"));
  inputs.parallel_tool_calls = request.value("parallelToolCalls", calls_in_parallel);
  if (request.contains("jsonSchema")) inputs.json_schema = request.at("jsonSchema").dump();
  inputs.grammar = request.value("grammar", "");
  inputs.enable_thinking = request.value("thinking", thinks_by_default);
  // Reasoning is told apart from content wherever the template marks it.
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

}  // namespace

void Prompt::Constrain(common_params_sampling* sampling) const {
  if (!constraints.grammar.empty()) {
    sampling->grammar = constraints.grammar;
    sampling->grammar_lazy = constraints.grammar_lazy;
    sampling->grammar_triggers = constraints.grammar_triggers;
  }
  sampling->generation_prompt = constraints.generation_prompt;
  sampling->reasoning_budget_tokens = constraints.reasoning_budget_tokens;
  sampling->reasoning_budget_start = constraints.reasoning_budget_start;
  sampling->reasoning_budget_end = constraints.reasoning_budget_end;
  sampling->reasoning_budget_forced = constraints.reasoning_budget_forced;
}

void Chat::Deleter::operator()(common_chat_templates* templates) const {
  common_chat_templates_free(templates);
}

Chat::Chat(const Model* model, const std::string& template_override)
    : model_(model), control_texts_(model->ControlTokenTexts()) {
  SilenceCommonLog();
  CheckTemplate(model->get(), template_override);
  templates_.reset(common_chat_templates_init(model->get(), template_override).release());
  const std::optional<std::string> thinking_mark = ThinkingMark(templates_.get());
  knows_thinking_ = thinking_mark.has_value();
  thinks_by_default_ =
      knows_thinking_ && ThinksByDefault(common_chat_templates_source(templates_.get()));
  renders_plainly_ = !knows_thinking_ && RendersPlainly(templates_.get());
  const auto abilities = common_chat_templates_get_caps(templates_.get());
  calls_in_parallel_ = abilities.at("supports_parallel_tool_calls");
  std::optional<std::string> call_grammar = SampleCallGrammar(templates_.get());
  knows_tools_ =
      (abilities.at("supports_tools") || abilities.at("supports_tool_calls")) && call_grammar != "";
  // An end token that looks like a mark can mislead llama.cpp's analysis (Mistral Small 3.2). The
  // form of a reply does not need it, and then comes from the same template without the token.
  const std::string source = common_chat_templates_source(templates_.get());
  if (knows_tools_ && common_chat_templates_source(templates_.get(), "tool_use").empty()) {
    unmarked_templates_.reset(common_chat_templates_init(nullptr, source).release());
    std::optional<std::string> unmarked = SampleCallGrammar(unmarked_templates_.get());
    if (unmarked == call_grammar) unmarked_templates_.reset();
    call_grammar = std::move(unmarked);
  }
  json_arguments_ = !call_grammar || call_grammar->find(kSampleValue) != std::string::npos;
  if (!json_arguments_) call_form_ = FindCallForm(*call_grammar);
  if (!knows_tools_ && thinking_mark.value_or(ToolForm::kThinkingMark) == ToolForm::kThinkingMark) {
    tool_form_ = std::make_unique<const ToolForm>(model->get());
    calls_in_parallel_ = tool_form_->calls_in_parallel();
    knows_tools_ = true;
    json_arguments_ = true;
  }
}

Chat::~Chat() = default;

Prompt Chat::Prepare(const std::string& request_text) const {
  const auto [text, mark] = control_texts_.Mark(request_text);
  const common_json request = common_json::parse(text);
  common_chat_templates_inputs inputs =
      ReadRequest(request, thinks_by_default_, calls_in_parallel_);
  inputs.json_schema = WithoutMarks(inputs.json_schema, mark);
  inputs.grammar = WithoutMarks(inputs.grammar, mark);
  const bool calls_tools =
      !inputs.tools.empty() && inputs.tool_choice != COMMON_CHAT_TOOL_CHOICE_NONE;
  std::string either;
  if (calls_tools && !inputs.json_schema.empty()) {
    // A reply that has to call has no text.
    if (inputs.tool_choice == COMMON_CHAT_TOOL_CHOICE_AUTO) either = CallOrSchema(request, inputs);
    inputs.json_schema.clear();
  }
  common_chat_params rendered = Apply(request, &inputs);
  if (!either.empty()) {
    rendered.grammar = std::move(either);
    rendered.grammar_lazy = false;
    rendered.grammar_triggers.clear();
  } else if (calls_tools) {
    EnforceArguments(inputs, &rendered);
  }
  rendered.grammar = WithoutMarks(rendered.grammar, mark);
  rendered.parser = WithoutMarks(rendered.parser, mark);
  rendered.generation_prompt = WithoutMarks(rendered.generation_prompt, mark);

  Prompt prompt;
  for (const std::string_view piece : PiecesBetweenMarks(rendered.prompt, mark)) {
    const bool is_first = piece.data() == rendered.prompt.data();
    const std::vector<llama_token> tokens = model_->Tokenize(piece, is_first);
    prompt.tokens.insert(prompt.tokens.end(), tokens.begin(), tokens.end());
  }
  if (prompt.tokens.empty()) throw std::runtime_error("the rendered prompt has no tokens");
  prompt.stops = rendered.additional_stops;
  if (calls_tools || rendered.supports_thinking || !inputs.json_schema.empty()) {
    SetFormat(rendered, inputs, &prompt);
  }
  SetGrammar(rendered, inputs, &prompt.constraints);
  SetReasoning(rendered, request.value("thinkingBudget", -1), &prompt.constraints);
  return prompt;
}

std::string Chat::Render(const std::string& request_text) const {
  const common_json request = common_json::parse(request_text);
  common_chat_templates_inputs inputs =
      ReadRequest(request, thinks_by_default_, calls_in_parallel_);
  return Apply(request, &inputs).prompt;
}

// The prompt of the model's template, with the reply's form of the same without its end token.
common_chat_params Chat::ApplyTemplate(const common_chat_templates_inputs& inputs) const {
  if (renders_plainly_ && IsPlain(inputs)) return ApplyPlainly(templates_.get(), inputs);
  common_chat_params rendered = common_chat_templates_apply(templates_.get(), inputs);
  if (!unmarked_templates_ || inputs.tools.empty()) return rendered;
  common_chat_params form = common_chat_templates_apply(unmarked_templates_.get(), inputs);
  form.prompt = std::move(rendered.prompt);
  return form;
}

// What calls have to follow, for tools that are shown.
std::vector<common_chat_tool> Chat::EnforcedTools(
    const common_json& request, const std::vector<common_chat_tool>& shown) const {
  std::vector<common_chat_tool> tools =
      request.contains("enforcedTools")
          ? common_chat_tools_parse_oaicompat(request.at("enforcedTools"))
          : shown;
  if (json_arguments_) return tools;
  for (common_chat_tool& tool : tools) tool.parameters = ObjectParameters(tool.parameters);
  return tools;
}

void Chat::EnforceArguments(const common_chat_templates_inputs& inputs,
                            common_chat_params* calls) const {
  if (json_arguments_) return;
  calls->grammar = StrictArguments(calls->grammar, call_form_, inputs.tools);
}

// Where calls have to follow less than the model is shown, the prompt is of the one rendering and
// the grammar of the other. Leaves in `inputs` what calls have to follow.
common_chat_params Chat::Apply(const common_json& request,
                               common_chat_templates_inputs* inputs) const {
  if (tool_form_) return ApplyInWords(request, inputs);
  const bool calls_tools =
      !inputs->tools.empty() && inputs->tool_choice != COMMON_CHAT_TOOL_CHOICE_NONE;
  if (!calls_tools) return ApplyTemplate(*inputs);
  std::vector<common_chat_tool> enforced = EnforcedTools(request, inputs->tools);
  const auto same = [](const common_chat_tool& one, const common_chat_tool& other) {
    return one.parameters == other.parameters;
  };
  if (std::ranges::equal(enforced, inputs->tools, same)) return ApplyTemplate(*inputs);

  common_chat_templates_inputs shown = *inputs;
  // Without a call no grammar is built of these schemas, which llama.cpp may not understand.
  shown.tool_choice = COMMON_CHAT_TOOL_CHOICE_NONE;
  std::string prompt = common_chat_templates_apply(templates_.get(), shown).prompt;
  inputs->tools = std::move(enforced);
  common_chat_params rendered = ApplyTemplate(*inputs);
  rendered.prompt = std::move(prompt);
  return rendered;
}

// The prompt is the template's, the form of the reply our own.
common_chat_params Chat::ApplyInWords(const common_json& request,
                                      common_chat_templates_inputs* inputs) const {
  common_chat_params rendered = ApplyTemplate(ToolForm::InWords(*inputs));
  if (inputs->tools.empty() || inputs->tool_choice == COMMON_CHAT_TOOL_CHOICE_NONE) return rendered;
  inputs->tools = EnforcedTools(request, inputs->tools);
  common_chat_params form = tool_form_->ReplyForm(*inputs, rendered.prompt);
  form.prompt = std::move(rendered.prompt);
  form.additional_stops = std::move(rendered.additional_stops);
  return form;
}

// llama.cpp's formats know a reply that may call and one that follows a schema, each with its
// reasoning before it: the grammar of one or the other.
std::string Chat::CallOrSchema(const common_json& request,
                               const common_chat_templates_inputs& inputs) const {
  common_chat_templates_inputs calling = inputs;
  calling.json_schema.clear();
  calling.tool_choice = COMMON_CHAT_TOOL_CHOICE_REQUIRED;
  common_chat_params calls = Apply(request, &calling);
  EnforceArguments(calling, &calls);
  common_chat_templates_inputs following = inputs;
  // Beside calls some formats forget the schema. A form of our own does not.
  if (!tool_form_) following.tool_choice = COMMON_CHAT_TOOL_CHOICE_NONE;
  const common_chat_params schema = Apply(request, &following);
  if (schema.grammar.empty() || schema.grammar_lazy || calls.grammar.empty() ||
      schema.generation_prompt != calls.generation_prompt) {
    throw std::invalid_argument("this model's chat format has no place for a schema beside tools");
  }
  return EitherGrammar(ReplyGrammar(calls, calling), WithoutFence(ReplyGrammar(schema, calling)));
}

void Chat::SetFormat(const common_chat_params& rendered, const common_chat_templates_inputs& inputs,
                     Prompt* prompt) const {
  auto format = std::make_shared<ReplyFormat>();
  format->params = common_chat_parser_params(rendered);
  format->params.reasoning_format = inputs.reasoning_format;
  format->params.is_continuation = inputs.continue_final_message != COMMON_CHAT_CONTINUATION_NONE;
  if (!rendered.parser.empty()) format->params.parser.load(rendered.parser);
  prompt->format = std::move(format);
  prompt->reasoning = ReasoningCounter(rendered.thinking_start_tag, rendered.thinking_end_tags,
                                       rendered.generation_prompt);
  for (const std::string& text : rendered.preserved_tokens) {
    const std::vector<llama_token> tokens = model_->Tokenize(text, false);
    if (tokens.size() == 1) prompt->shown_tokens.insert(tokens[0]);
  }
}

// The grammar of a reply, as strict as `inputs` asks for.
std::string Chat::ReplyGrammar(const common_chat_params& rendered,
                               const common_chat_templates_inputs& inputs) {
  std::string grammar = FiniteNumbers(WithCallIds(rendered.grammar));
  if (inputs.tool_choice == COMMON_CHAT_TOOL_CHOICE_REQUIRED) {
    // A prompt that ends with an empty thought has used the grammar's place for one.
    const bool may_think =
        inputs.enable_thinking ||
        rendered.generation_prompt.find(rendered.thinking_start_tag) != std::string::npos;
    grammar = CallAtOnce(grammar, may_think ? "" : rendered.thinking_start_tag);
  }
  return inputs.parallel_tool_calls ? grammar : SingleCall(grammar);
}

void Chat::SetGrammar(const common_chat_params& rendered,
                      const common_chat_templates_inputs& inputs,
                      common_params_sampling* constraints) const {
  if (!inputs.grammar.empty()) {
    constraints->grammar = {COMMON_GRAMMAR_TYPE_USER, inputs.grammar};
    return;
  }
  if (rendered.grammar.empty() && !inputs.json_schema.empty()) {
    // Some of llama.cpp's formats leave the schema out in silence.
    if (rendered.supports_thinking) {
      throw std::invalid_argument("this model's chat format has no place for a schema");
    }
    const std::string grammar = json_schema_to_grammar(common_json::parse(inputs.json_schema));
    constraints->grammar = {COMMON_GRAMMAR_TYPE_USER, FiniteNumbers(grammar)};
    return;
  }
  if (rendered.grammar.empty()) return;
  constraints->grammar = {inputs.json_schema.empty() ? COMMON_GRAMMAR_TYPE_TOOL_CALLS
                                                     : COMMON_GRAMMAR_TYPE_OUTPUT_FORMAT,
                          ReplyGrammar(rendered, inputs)};
  constraints->generation_prompt = rendered.generation_prompt;
  constraints->grammar_lazy = rendered.grammar_lazy;
  for (common_grammar_trigger trigger : rendered.grammar_triggers) {
    if (trigger.type == COMMON_GRAMMAR_TRIGGER_TYPE_WORD) {
      const std::vector<llama_token> tokens = model_->Tokenize(trigger.value, false);
      if (tokens.size() == 1) {
        trigger.type = COMMON_GRAMMAR_TRIGGER_TYPE_TOKEN;
        trigger.token = tokens[0];
      }
    }
    constraints->grammar_triggers.push_back(std::move(trigger));
  }
}

// A lazy grammar has to know when the model reasons: a mark within a thought triggers nothing.
void Chat::SetReasoning(const common_chat_params& rendered, int32_t budget,
                        common_params_sampling* constraints) const {
  if (rendered.thinking_start_tag.empty() || rendered.thinking_end_tags.empty()) return;
  if (HasClosedThought(rendered)) budget = -1;
  if (!constraints->grammar_lazy && budget < 0) return;
  constraints->generation_prompt = rendered.generation_prompt;
  constraints->reasoning_budget_tokens = budget;
  constraints->reasoning_budget_start = model_->Tokenize(rendered.thinking_start_tag, false);
  for (const std::string& tag : rendered.thinking_end_tags) {
    constraints->reasoning_budget_end.push_back(model_->Tokenize(tag, false));
  }
  constraints->reasoning_budget_forced = constraints->reasoning_budget_end.front();
}
