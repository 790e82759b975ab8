// What the scheduler may use: slots, tokens of a step, memory.
#pragma once

#include <cstdint>

#include "schedule/prefix_cache.h"

// Passes over the model's weights that closing one gap between slots may cost. A closed gap saves
// one pass in each step until a sequence starts or ends.
inline constexpr int32_t kMaxCompactionPasses = 16;

struct SchedulerLimits {
  // Sequences that run at once, at least 1.
  int32_t n_slots = 1;
  // Tokens that one step may compute, at least n_slots.
  int32_t n_batch = 2048;
  // Tokens that the backend computes at once: what a prompt gets of a step in which no sequence
  // decodes.
  int32_t n_ubatch = 512;
  // By how much a prompt may delay the decoding sequences in a step, in milliseconds; see
  // StepPacer.
  double step_target_ms = 50;
  // Prompt tokens whose logits one step can keep, at least 1, beside one for each slot.
  int32_t max_logprob_rows = 32;
  // Draft tokens of one step, of all sequences together; 0 disables speculative decoding.
  int32_t n_drafted = 0;
  // Tokens of one draft.
  int32_t min_draft_tokens = 1;
  int32_t max_draft_tokens = 1;
  // Tokens that the background prefill has room for; 0 disables it. Sequences that it may compute
  // side by side, at least 1.
  int32_t max_background_tokens = 0;
  int32_t max_background_sequences = 1;
  // Sequences that may be moved to save one pass over the model's weights, see slot_compaction.h;
  // 0 disables slot compaction. Together these moves cost at most kMaxCompactionPasses passes.
  int32_t max_compaction_moves = 0;
  CacheLimits cache = {};
};
