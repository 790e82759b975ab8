#include "chat/chat.h"

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "chat/call_adapter.h"
#include "chat/reply_constraints.h"
#include "core/error.h"
#include "grammar/reply_grammar.h"
#include "llama/model.h"

namespace {

// The engine thread parses it while all sequences wait.
constexpr size_t kMaxGrammarBytes = size_t{16} << 20;

bool CallsTools(const common_chat_templates_inputs& inputs) {
  return !inputs.tools.empty() && inputs.tool_choice != COMMON_CHAT_TOOL_CHOICE_NONE;
}

bool HaveSameParameters(const std::vector<common_chat_tool>& some,
                        const std::vector<common_chat_tool>& others) {
  return std::ranges::equal(some, others, {}, &common_chat_tool::parameters,
                            &common_chat_tool::parameters);
}

}  // namespace

Chat::Chat(const Model* model, const std::string& template_override)
    : model_(model),
      control_texts_(model->ControlTokenTexts()),
      template_(model->get(), template_override) {}

Prompt Chat::Prepare(const std::string& request_text) const {
  const auto [text, mark] = control_texts_.Mark(request_text);
  ChatRequest request = ReadChatRequest(text, template_);
  common_chat_templates_inputs& inputs = request.inputs;
  inputs.json_schema = WithoutMarks(inputs.json_schema, mark);
  inputs.grammar = WithoutMarks(inputs.grammar, mark);
  request.content_grammar = WithoutMarks(request.content_grammar, mark);
  common_chat_params rendered = RenderConstrained(&request);
  if (rendered.grammar.size() > kMaxGrammarBytes) {
    const char* param = request.calls_tools() ? "tools" : "response_format";
    throw RequestRefusal(param, std::string("`") + param + "` comes to too large a grammar.");
  }
  Prompt prompt;
  Tokenize(rendered.prompt, mark, true, &prompt.tokens);
  if (prompt.tokens.empty()) throw std::runtime_error("the rendered prompt has no tokens");
  Tokenize(rendered.generation_prompt, mark, false, &prompt.header);
  DropAddedBlank(*model_, rendered.generation_prompt, &prompt.header);
  rendered.grammar = WithoutMarks(rendered.grammar, mark);
  rendered.parser = WithoutMarks(rendered.parser, mark);
  rendered.generation_prompt = WithoutMarks(rendered.generation_prompt, mark);

  prompt.stops = rendered.additional_stops;
  if (request.calls_tools() || rendered.supports_thinking || !inputs.json_schema.empty()) {
    SetFormat(*model_, rendered, inputs, request.tool_names, &prompt);
  }
  SetGrammar(*model_, rendered, inputs, &prompt.constraints);
  SetReasoning(*model_, rendered, request.thinking_budget, &prompt.constraints);
  return prompt;
}

std::string Chat::Render(const std::string& request_text) const {
  const auto [text, mark] = control_texts_.Mark(request_text);
  ChatRequest request = ReadChatRequest(text, template_);
  return WithoutMarks(RenderConstrained(&request).prompt, mark);
}

std::vector<std::string> Chat::Changes(const std::string& request_text) const {
  const ChatRequest request = ReadChatRequest(request_text, template_);
  if (template_.tool_form() == nullptr) return template_.Changes(request.inputs);
  const common_chat_templates_inputs written = ToolForm::InWords(request.inputs);
  std::vector<std::string> changes = template_.Changes(written);
  if (!request.inputs.tools.empty()) changes.push_back("tools-in-words");
  if (HasCalls(request.inputs.messages)) changes.push_back("calls-in-words");
  return changes;
}

// A reply that calls follows its tools; a schema beside them is for a reply that calls none.
common_chat_params Chat::RenderConstrained(ChatRequest* request) const {
  common_chat_templates_inputs& inputs = request->inputs;
  const bool calls_tools = request->calls_tools();
  std::string call_or_schema;
  if (calls_tools && !inputs.json_schema.empty()) {
    // A reply that must call has no text.
    if (inputs.tool_choice == COMMON_CHAT_TOOL_CHOICE_AUTO) call_or_schema = CallOrSchema(*request);
    inputs.json_schema.clear();
  }
  common_chat_params rendered = Apply(inputs, request->enforced_tools);
  if (!call_or_schema.empty()) {
    rendered.grammar = std::move(call_or_schema);
    rendered.grammar_lazy = false;
    rendered.grammar_triggers.clear();
  } else if (calls_tools) {
    rendered.grammar = template_.call_format().WithStrictArguments(
        rendered.grammar, request->enforced_tools, request->strict_tools);
  } else if (!inputs.json_schema.empty() && rendered.grammar.empty()) {
    rendered.grammar = template_.SchemaGrammar(inputs, rendered);
  } else if (!request->content_grammar.empty() && rendered.supports_thinking) {
    rendered.grammar = template_.ContentGrammar(inputs, rendered, request->content_grammar);
  } else if (!request->content_grammar.empty()) {
    // All of the reply is content.
    inputs.grammar = request->content_grammar;
  }
  RestoreArgumentNames(request->argument_names, &rendered);
  if (!rendered.grammar.empty() && !rendered.grammar_lazy) FitHeader(inputs, &rendered);
  return rendered;
}

// llama.cpp's grammars begin with the header of a new reply. A reply that continues a text, or
// follows a result, may have another one; then the grammar and the parser take the reply for a new
// one, whose header is already in the prompt.
void Chat::FitHeader(const common_chat_templates_inputs& inputs,
                     common_chat_params* rendered) const {
  if (inputs.messages.back().role == "user") return;
  const std::optional<std::string> header =
      FittingHeader(*model_, *rendered, inputs, template_.ReplyHeaders(inputs, *rendered));
  if (!header) {
    const std::string param = inputs.json_schema.empty() ? "tool_choice" : "response_format";
    throw RequestRefusal(param, "`" + param +
                                    "` cannot be followed after these messages: this model's chat "
                                    "format has no place for it there.");
  }
  rendered->generation_prompt = *header;
}

// Where calls have to follow less than the model is shown, the prompt comes from one rendering and
// the grammar from another.
common_chat_params Chat::Apply(const common_chat_templates_inputs& inputs,
                               const std::vector<common_chat_tool>& enforced) const {
  if (const ToolForm* form = template_.tool_form()) return ApplyInWords(*form, inputs, enforced);
  if (!CallsTools(inputs) || HaveSameParameters(enforced, inputs.tools)) {
    return template_.Apply(inputs);
  }
  std::string prompt = template_.RenderPrompt(inputs);
  common_chat_templates_inputs strict = inputs;
  strict.tools = enforced;
  common_chat_params rendered = template_.Apply(strict);
  rendered.prompt = std::move(prompt);
  return rendered;
}

// The prompt comes from the model's template, the form of the reply from our own.
common_chat_params Chat::ApplyInWords(const ToolForm& tool_form,
                                      const common_chat_templates_inputs& inputs,
                                      const std::vector<common_chat_tool>& enforced) const {
  common_chat_params rendered = template_.Apply(ToolForm::InWords(inputs));
  if (!CallsTools(inputs)) return rendered;
  common_chat_templates_inputs strict = inputs;
  strict.tools = enforced;
  if (strict.continue_final_message != COMMON_CHAT_CONTINUATION_NONE) {
    // The header of the continued text is another template's: what follows is read as a new reply.
    strict.messages.pop_back();
    strict.continue_final_message = COMMON_CHAT_CONTINUATION_NONE;
    strict.add_generation_prompt = true;
  }
  common_chat_params form = tool_form.ReplyForm(std::move(strict), rendered.prompt);
  form.prompt = std::move(rendered.prompt);
  form.additional_stops = std::move(rendered.additional_stops);
  return form;
}

// llama.cpp's formats know a reply that may call and one that follows a schema, each with its
// reasoning before it. Returns the grammar of one or the other.
std::string Chat::CallOrSchema(const ChatRequest& request) const {
  common_chat_templates_inputs calling = request.inputs;
  calling.json_schema.clear();
  calling.tool_choice = COMMON_CHAT_TOOL_CHOICE_REQUIRED;
  common_chat_params calls = Apply(calling, request.enforced_tools);
  calls.grammar = template_.call_format().WithStrictArguments(calls.grammar, request.enforced_tools,
                                                              request.strict_tools);
  common_chat_templates_inputs following = request.inputs;
  // Beside calls some formats ignore the schema. A form of our own does not.
  if (template_.tool_form() == nullptr) following.tool_choice = COMMON_CHAT_TOOL_CHOICE_NONE;
  common_chat_params schema = Apply(following, request.enforced_tools);
  if (schema.grammar.empty() || schema.grammar_lazy ||
      schema.generation_prompt != calls.generation_prompt) {
    schema.generation_prompt = calls.generation_prompt;
    schema.grammar = template_.SchemaGrammar(following, schema);
  }
  if (calls.grammar.empty()) {
    throw RequestRefusal(
        "response_format",
        "`response_format` beside `tools` is not supported by this model's chat format.");
  }
  // Both as strict as a required call: neither may have reasoning or text before it.
  return CallOrSchemaReply(ReplyGrammar(calls, calling), ReplyGrammar(schema, calling));
}

// Tokenizes the pieces between the marks, so that no control text of the request is whole.
void Chat::Tokenize(std::string_view text, const std::string& mark, bool begins,
                    std::vector<llama_token>* all) const {
  for (const std::string_view piece : PiecesBetweenMarks(text, mark)) {
    const bool is_first = begins && piece.data() == text.data();
    const std::vector<llama_token> tokens = model_->Tokenize(piece, is_first);
    all->insert(all->end(), tokens.begin(), tokens.end());
  }
}
