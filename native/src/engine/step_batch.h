// The batch of a step, filled from its plan. Engine thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/sequence.h"
#include "llama/token_batch.h"
#include "schedule/scheduler.h"

class StepBatch {
 public:
  // Replaces the batch by the work of `plan`. Marks its sequences as started.
  void Fill(const StepPlan& plan, Sequences* sequences);

  TokenBatch* tokens() { return &batch_; }
  int32_t n_tokens() const { return batch_.size(); }

  // Batch index of the first token of a piece of work that keeps its logits, or of its last token
  // if none does. `work` is an index into the plan's work.
  int32_t first_output(size_t work) const { return first_outputs_[work]; }

 private:
  TokenBatch batch_;
  std::vector<int32_t> first_outputs_;
  // Indices into the plan's work, ordered by cache id.
  std::vector<size_t> by_cache_id_;
  std::vector<llama_token> scratch_tokens_;
};
