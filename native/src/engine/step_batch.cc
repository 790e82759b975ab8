#include "engine/step_batch.h"

#include <algorithm>
#include <numeric>

// The batch is ordered by cache id: a split cache computes adjacent ids in one pass only if their
// tokens come in this order.
void StepBatch::Fill(const StepPlan& plan, const Scheduler& scheduler, Completions* completions) {
  by_cache_id_.resize(plan.work.size());
  std::iota(by_cache_id_.begin(), by_cache_id_.end(), 0);
  std::ranges::sort(by_cache_id_, {}, [&](size_t i) { return plan.work[i].cache_id; });

  const Clock::time_point now = Clock::now();
  first_outputs_.assign(plan.work.size(), -1);
  batch_.Clear();
  for (const size_t i : by_cache_id_) {
    const StepWork& work = plan.work[i];
    completions->at(work.id).MarkStarted(now, work.first);
    const auto tokens = scheduler.tokens(work.id).subspan(work.first, work.n_tokens);
    first_outputs_[i] = batch_.Add(work.cache_id, work.first, tokens, work.n_outputs());
    if (work.draft.empty()) continue;
    batch_.Add(work.cache_id, work.first + work.n_tokens, work.draft,
               static_cast<int32_t>(work.draft.size()));
  }
}
