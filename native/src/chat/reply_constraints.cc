#include "chat/reply_constraints.h"

#include <llama-cpp.h>

#include <algorithm>
#include <exception>
#include <utility>
#include <vector>

#include "chat/reply_form.h"
#include "chat/reply_parser.h"
#include "grammar/reply_grammar.h"
#include "llama/model.h"

namespace {

// True if a text that follows `grammar` can begin with `text`.
bool CanBeginWith(const Model& model, const std::string& grammar, const std::string& text) {
  const llama_sampler_ptr sampler(
      llama_sampler_init_grammar(llama_model_get_vocab(model.get()), grammar.c_str(), "root"));
  if (!sampler) return false;
  std::vector<llama_token> tokens = model.Tokenize(text, false);
  DropAddedBlank(model, text, &tokens);
  try {
    for (const llama_token token : tokens) {
      // llama.cpp ends the process over an end of generation that its grammar does not allow.
      if (model.IsEndOfGeneration(token)) return false;
      llama_sampler_accept(sampler.get(), token);
    }
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

}  // namespace

void DropAddedBlank(const Model& model, std::string_view text, std::vector<llama_token>* tokens) {
  if (tokens->empty() || text.starts_with(' ')) return;
  std::string first;
  model.AppendPiece(tokens->front(), true, &first);
  if (first.starts_with(' ')) tokens->erase(tokens->begin());
}

std::optional<std::string> FittingHeader(const Model& model, const common_chat_params& rendered,
                                         const common_chat_templates_inputs& inputs,
                                         const std::vector<std::string>& headers) {
  for (const std::string& header : headers) {
    common_chat_params begun = rendered;
    begun.generation_prompt = header;
    if (CanBeginWith(model, ReplyGrammar(begun, inputs), header)) return header;
  }
  return std::nullopt;
}

std::string ReplyGrammar(const common_chat_params& rendered,
                         const common_chat_templates_inputs& inputs) {
  ReplyRules rules{
      .begins_at_once = inputs.tool_choice == COMMON_CHAT_TOOL_CHOICE_REQUIRED,
      .single_call = !inputs.parallel_tool_calls,
  };
  // A prompt that ends with empty reasoning has used the grammar's place for it.
  const bool may_think =
      inputs.enable_thinking ||
      rendered.generation_prompt.find(rendered.thinking_start_tag) != std::string::npos;
  if (!may_think) {
    rules.thinking_mark = rendered.thinking_start_tag;
    rules.begins_at_once |= !inputs.json_schema.empty();
  }
  return StrictReply(rendered.grammar, rules);
}

void SetFormat(const Model& model, const common_chat_params& rendered,
               const common_chat_templates_inputs& inputs,
               const std::map<std::string, std::string>& tool_names, Prompt* prompt) {
  auto format = std::make_shared<ReplyFormat>();
  format->tool_names = tool_names;
  format->params = common_chat_parser_params(rendered);
  format->params.reasoning_format = inputs.reasoning_format;
  format->params.is_continuation = inputs.continue_final_message != COMMON_CHAT_CONTINUATION_NONE;
  if (!rendered.parser.empty()) format->params.parser.load(rendered.parser);
  prompt->format = std::move(format);
  prompt->reasoning = ReasoningCounter(rendered.thinking_start_tag, rendered.thinking_end_tags,
                                       rendered.generation_prompt);
  for (const std::string& text : rendered.preserved_tokens) {
    const std::vector<llama_token> tokens = model.Tokenize(text, false);
    if (tokens.size() == 1) prompt->shown_tokens.insert(tokens[0]);
  }
}

void SetGrammar(const Model& model, const common_chat_params& rendered,
                const common_chat_templates_inputs& inputs, common_params_sampling* constraints) {
  if (!inputs.grammar.empty()) {
    constraints->grammar = {COMMON_GRAMMAR_TYPE_USER, inputs.grammar};
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
      const std::vector<llama_token> tokens = model.Tokenize(trigger.value, false);
      if (tokens.size() == 1) {
        trigger.type = COMMON_GRAMMAR_TRIGGER_TYPE_TOKEN;
        trigger.token = tokens[0];
      }
    }
    constraints->grammar_triggers.push_back(std::move(trigger));
  }
}

// A lazy grammar has to know when the model reasons: a mark within reasoning triggers nothing.
void SetReasoning(const Model& model, const common_chat_params& rendered, int32_t budget,
                  common_params_sampling* constraints) {
  if (rendered.thinking_start_tag.empty() || rendered.thinking_end_tags.empty()) return;
  if (HeaderReasoningOf(rendered) == HeaderReasoning::kClosed) budget = -1;
  if (!constraints->grammar_lazy && budget < 0) return;
  constraints->generation_prompt = rendered.generation_prompt;
  constraints->reasoning_budget_tokens = budget;
  constraints->reasoning_budget_start = model.Tokenize(rendered.thinking_start_tag, false);
  for (const std::string& tag : rendered.thinking_end_tags) {
    constraints->reasoning_budget_end.push_back(model.Tokenize(tag, false));
  }
  constraints->reasoning_budget_forced = constraints->reasoning_budget_end.front();
}
