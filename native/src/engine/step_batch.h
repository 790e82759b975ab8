// The batch of a step, filled from its plan. Engine thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/completion.h"
#include "llama/token_batch.h"
#include "schedule/scheduler.h"

class StepBatch {
 public:
  // Replaces the batch by the work of `plan`, with the tokens that `scheduler` knows. Marks its
  // sequences as started.
  void Fill(const StepPlan& plan, const Scheduler& scheduler, Completions* completions);

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
};
