#include "chat/prompt.h"

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
