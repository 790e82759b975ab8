#include "schedule/scheduler.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "schedule/admission.h"
#include "schedule/background_prefill.h"
#include "schedule/preemption.h"
#include "schedule/prefill.h"
#include "schedule/shared_prefix.h"

namespace {

bool IsCopy(const CacheEdit& edit) { return edit.kind == CacheEdit::Kind::kCopy; }

}  // namespace

Scheduler::Scheduler(SchedulerLimits limits)
    : state_(std::move(limits)), drafting_(state_.limits) {}

StepPlan Scheduler::Plan() {
  StepPlan plan;
  state_.BeginPlan();
  SharePrefixes(&state_);
  PreemptToDecode(&state_);
  PreemptPaused(kPausedPatiencePlans, &state_);
  AdmitWaiting(&state_);
  if (!copies_pending_) slot_compaction_.Compact(&state_);
  AddDecodes(&plan);
  AddPrompts(&plan);
  if (plan.empty()) {
    // Nothing computes, so no further plan would preempt the paused sequences.
    PreemptPaused(0, &state_);
    AdmitWaiting(&state_);
    AddDecodes(&plan);
    AddPrefills(&state_, &plan);
  }
  drafting_.AddDrafts(state_, &plan);
  EvictFor(plan);
  plan.edits = state_.cache.TakeEdits();
  if (std::ranges::any_of(plan.edits, IsCopy)) copies_pending_ = true;
  return plan;
}

void Scheduler::AddDecodes(StepPlan* plan) const {
  for (const SequenceId id : state_.running) {
    if (state_.IsDecoding(state_.Get(id))) plan->work.push_back(state_.NextWork(id, 1));
  }
}

void Scheduler::AddPrompts(StepPlan* plan) {
  const bool decodes = !plan->empty();
  // The background prefill would begin again behind a step without it.
  if (!decodes || !state_.in_background.empty() || !state_.pacer.LeavesPromptsOut()) {
    AddBackgroundPrefill(&state_, plan);
    AddPrefills(&state_, plan);
    SetBackgroundTime(state_, plan);
  }
  if (decodes) state_.pacer.Planned(!plan->only_decodes());
}

void Scheduler::EvictFor(const StepPlan& plan) {
  int32_t n_tokens = plan.n_drafted();
  for (const StepWork& work : plan.work) n_tokens += work.n_tokens;
  const int32_t n_cells = state_.limits.cache.n_cells;
  while (state_.cache.n_used() + n_tokens > n_cells && state_.cache.EvictOne()) {
  }
}

void Scheduler::Add(SequenceId id, std::vector<Token> tokens, std::string scope,
                    bool wants_prompt_logprobs) {
  const auto n_tokens = static_cast<int32_t>(tokens.size());
  if (n_tokens < 1 || n_tokens > state_.limits.cache.n_cells) {
    throw std::logic_error("a sequence of " + std::to_string(n_tokens) + " tokens can never run");
  }
  ScheduledSequence sequence;
  sequence.tokens = std::move(tokens);
  sequence.scope = std::move(scope);
  sequence.n_prompt = n_tokens;
  sequence.logprobs_begin = wants_prompt_logprobs ? 0 : n_tokens;
  sequence.drafts = drafting_.NewRecord();
  if (!state_.sequences.emplace(id, std::move(sequence)).second) {
    throw std::logic_error("sequence " + std::to_string(id) + " exists already");
  }
  state_.waiting.push_back(id);
}

void Scheduler::Finish(SequenceId id) {
  const CacheId cache_id = state_.Forget(id);
  if (cache_id >= 0) state_.cache.Keep(cache_id);
}

void Scheduler::Drop(SequenceId id) {
  const CacheId cache_id = state_.Forget(id);
  if (cache_id >= 0) state_.cache.Clear(cache_id);
}

void Scheduler::SetPaused(SequenceId id, bool paused) {
  const auto found = state_.sequences.find(id);
  if (found == state_.sequences.end()) return;
  found->second.is_paused = paused;
  found->second.n_paused_plans = 0;
}

std::vector<DraftCall> Scheduler::DraftCalls() { return drafting_.Calls(&state_); }

void Scheduler::AddDraft(SequenceId id, std::vector<Token> draft) {
  drafting_.AddDraft(id, std::move(draft), &state_);
}

void Scheduler::MeasuredDrafting(int32_t n_drafted, double ms) {
  drafting_.ObserveDrafting(n_drafted, ms);
}

void Scheduler::Commit(const StepPlan& plan) {
  if (!plan.work.empty()) copies_pending_ = false;
  for (const StepWork& work : plan.work) {
    ScheduledSequence& sequence = state_.Get(work.id);
    const std::span<const Token> tokens(sequence.tokens);
    sequence.logprobs_begin =
        std::clamp(work.first + work.n_tokens, sequence.logprobs_begin, sequence.n_prompt);
    state_.cache.Extend(work.cache_id, tokens.subspan(work.first, work.n_tokens));
    state_.cache.Extend(work.cache_id, work.draft);
  }
}

void Scheduler::CommitBackground(const BackgroundShare& share, int32_t n_tokens) {
  const std::span<const Token> tokens(state_.Get(share.id).tokens);
  state_.cache.Extend(share.cache_id, tokens.subspan(share.first, n_tokens));
  std::erase(state_.in_background, share.id);
}

void Scheduler::BackgroundFailed(const BackgroundShare& share, bool emptied) {
  state_.Get(share.id).avoids_background = true;
  if (emptied) state_.cache.Lost(share.cache_id);
  std::erase(state_.in_background, share.id);
}

void Scheduler::Measured(const StepPlan& plan, double ms) {
  int32_t n_decoding = 0;
  int32_t n_prefill = 0;
  for (const StepWork& work : plan.work) {
    (work.is_decode() ? n_decoding : n_prefill) += work.n_tokens;
  }
  const int32_t n_drafted = plan.n_drafted();
  if (n_drafted > 0) {
    drafting_.ObserveStep(n_drafted, ms, state_.pacer.DecodeMs(n_decoding));
  } else {
    state_.pacer.Observe(n_decoding, n_prefill, ms);
  }
}

int32_t Scheduler::Append(SequenceId id, std::span<const Token> tokens) {
  ScheduledSequence& sequence = state_.Get(id);
  const auto draft = state_.cache.cached(sequence.cache_id).subspan(sequence.n_tokens());
  const auto n_drafted = static_cast<int32_t>(draft.size());
  const int32_t n_accepted = CommonPrefix(draft, tokens);
  if (n_drafted > 0) drafting_.ObserveOutcome(n_drafted, n_accepted, &sequence.drafts);
  state_.cache.Cut(sequence.cache_id, sequence.n_tokens() + n_accepted);
  sequence.tokens.insert(sequence.tokens.end(), tokens.begin(), tokens.end());
  return n_accepted;
}

bool Scheduler::MakeRoom(const StepPlan& plan) {
  if (plan.n_drafted() > 0) {
    drafting_.Suspend();
    return true;
  }
  if (state_.cache.EvictOne()) return true;
  if (state_.n_running() <= 1) return false;
  state_.Preempt(ChooseVictim(state_));
  state_.cache.EvictOne();
  return true;
}

void Scheduler::EditFailed(const CacheEdit& edit) {
  state_.cache.Lost(edit.id);
  if (edit.kind == CacheEdit::Kind::kSwap) state_.cache.Lost(edit.source);
  if (edit.kind == CacheEdit::Kind::kRestore) {
    state_.cache.LostStored(edit.stored_id);
  } else {
    state_.cache.ForbidCuts();
  }
}
