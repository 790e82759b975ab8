// Which sequences get draft tokens (speculative decoding), and how many. A draft never takes time
// from a prompt or a cell from a sequence.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "schedule/draft_pacer.h"
#include "schedule/schedule_state.h"

class Drafting {
 public:
  explicit Drafting(const SchedulerLimits& limits)
      : pacer_(limits.min_draft_tokens, limits.max_draft_tokens) {}

  // For a new sequence.
  DraftRecord NewRecord() const { return pacer_.NewRecord(); }

  // The decoding sequences that are worth a draft for the next plan. None while a prompt is
  // prefilled.
  std::vector<DraftCall> Calls(ScheduleState* state);

  // The result of a call; empty when the call took time and found nothing.
  void AddDraft(SequenceId id, std::vector<Token> draft, ScheduleState* state);

  // Adds the proposed drafts to a plan that only decodes, as far as there is room. Forgets the
  // others.
  void AddDrafts(const ScheduleState& state, StepPlan* plan);

  // The memory had no room for a draft: makes no calls for a while.
  void Suspend();

  // A draft model returned `n_drafted` tokens and took so long.
  void ObserveDrafting(int32_t n_drafted, double ms) { pacer_.ObserveDrafting(n_drafted, ms); }
  // A step with drafts took `ms`; without them it takes `plain_ms`.
  void ObserveStep(int32_t n_drafted, double ms, double plain_ms) {
    pacer_.ObserveStep(n_drafted, ms, plain_ms);
  }
  // The first `n_accepted` of `n_drafted` tokens, at least 1, were accepted.
  void ObserveOutcome(int32_t n_drafted, int32_t n_accepted, DraftRecord* record) {
    pacer_.ObserveOutcome(n_drafted, n_accepted, record);
  }

 private:
  // Draft tokens that `n_decoding` sequences may have together in the next step.
  int32_t MaxTokens(const ScheduleState& state, int32_t n_decoding) const;

  DraftPacer pacer_;
  // For the next plan.
  std::map<SequenceId, std::vector<Token>> drafts_;
  // Plans to come without drafts.
  int32_t n_suspended_plans_ = 0;
};
