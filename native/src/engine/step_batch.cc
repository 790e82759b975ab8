#include "engine/step_batch.h"

#include <algorithm>
#include <numeric>

// The batch is ordered by cache id: a split cache computes adjacent ids in one pass only if their
// tokens come in this order.
void StepBatch::Fill(const StepPlan& plan, Sequences* sequences) {
  by_cache_id_.resize(plan.work.size());
  std::iota(by_cache_id_.begin(), by_cache_id_.end(), 0);
  std::ranges::sort(by_cache_id_, {}, [&](size_t i) { return plan.work[i].cache_id; });

  const Clock::time_point now = Clock::now();
  first_outputs_.assign(plan.work.size(), -1);
  batch_.Clear();
  for (const size_t i : by_cache_id_) {
    const StepWork& work = plan.work[i];
    Sequence& sequence = sequences->at(work.id);
    sequence.MarkStarted(now);
    scratch_tokens_.clear();
    sequence.CopyTokens(work.first, work.n_tokens, &scratch_tokens_);
    scratch_tokens_.insert(scratch_tokens_.end(), work.draft.begin(), work.draft.end());
    const int32_t n_outputs = work.n_outputs() + static_cast<int32_t>(work.draft.size());
    first_outputs_[i] = batch_.Add(work.cache_id, work.first, scratch_tokens_, n_outputs);
  }
}
