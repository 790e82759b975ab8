#include "schedule/drafting.h"

#include <algorithm>
#include <utility>

namespace {

// Plans without drafts after the memory had no room for one.
constexpr int32_t kSuspendedPlans = 64;
// How many times its plain duration a step of several sequences may last with drafts, where that is
// more than the time target: each sequence pays for the drafts of all.
constexpr double kMaxStepGrowth = 1.5;

// Draft tokens beside `n_work` other tokens that take room from no sequence.
int32_t FreeTokens(const ScheduleState& state, int32_t n_work) {
  const SchedulerLimits& limits = state.limits;
  // Within one ubatch, so that a sliding window that is cut afterwards has lost nothing it needs.
  int32_t n = std::min(limits.n_drafted, std::min(limits.n_batch, limits.n_ubatch) - n_work);
  // In a split cache every sequence has its own room.
  if (state.cache.limits().shares_cells) n = std::min(n, limits.cache.n_cells - state.n_promised());
  return std::max(0, n);
}

}  // namespace

int32_t Drafting::MaxTokens(const ScheduleState& state, int32_t n_decoding) const {
  const int32_t n_free = FreeTokens(state, n_decoding);
  if (n_decoding <= 1 || pacer_.token_ms() <= 0) return n_free;
  const double plain_ms = state.pacer.DecodeMs(n_decoding);
  const double max_ms = std::max(state.limits.step_target_ms, kMaxStepGrowth * plain_ms);
  const double n_in_time = (max_ms - plain_ms) / pacer_.token_ms();
  return static_cast<int32_t>(std::min(n_in_time, static_cast<double>(n_free)));
}

std::vector<DraftCall> Drafting::Calls(ScheduleState* state) {
  std::vector<DraftCall> calls;
  const SchedulerLimits& limits = state->limits;
  if (limits.n_drafted == 0 || !state->cache.limits().cuts) return calls;
  if (n_suspended_plans_ > 0) {
    --n_suspended_plans_;
    return calls;
  }
  int32_t n_decoding = 0;
  for (const SequenceId id : state->running) {
    const ScheduledSequence& sequence = state->Get(id);
    if (state->IsPrefilling(sequence)) return calls;
    if (state->IsDecoding(sequence)) ++n_decoding;
  }
  const double plain_ms = state->pacer.DecodeMs(n_decoding);
  int32_t n_room = MaxTokens(*state, n_decoding);
  int32_t n_left = n_decoding;
  for (const SequenceId id : state->running) {
    ScheduledSequence& sequence = state->Get(id);
    if (!state->IsDecoding(sequence)) continue;
    const int32_t n_share = (n_room + n_left - 1) / n_left;
    --n_left;
    if (n_share < limits.min_draft_tokens) continue;
    const int32_t n = std::min(n_share, pacer_.Length(&sequence.drafts, n_decoding, plain_ms));
    if (n == 0) continue;
    calls.push_back({id, sequence.tokens, &sequence.scope, n, sequence.drafts.on_trial()});
    n_room -= n;
  }
  return calls;
}

void Drafting::AddDraft(SequenceId id, std::vector<Token> draft, ScheduleState* state) {
  if (draft.empty()) {
    pacer_.ObserveNothing(&state->Get(id).drafts);
  } else {
    drafts_[id] = std::move(draft);
  }
}

void Drafting::AddDrafts(const ScheduleState& state, StepPlan* plan) {
  auto drafts = std::exchange(drafts_, {});
  if (!plan->only_decodes()) return;
  int32_t n_room = FreeTokens(state, static_cast<int32_t>(plan->work.size()));
  for (StepWork& work : plan->work) {
    const auto found = drafts.find(work.id);
    if (found == drafts.end()) continue;
    work.draft = std::move(found->second);
    work.draft.resize(std::min(work.draft.size(), static_cast<size_t>(n_room)));
    n_room -= static_cast<int32_t>(work.draft.size());
  }
}

void Drafting::Suspend() { n_suspended_plans_ = kSuspendedPlans; }
