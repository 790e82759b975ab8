#include "schedule/preemption.h"

#include <algorithm>

#include "schedule/admission.h"

SequenceId ChooseVictim(const ScheduleState& state) {
  const auto paused = std::find_if(state.running.rbegin(), state.running.rend(),
                                   [&](SequenceId id) { return state.Get(id).is_paused; });
  return paused == state.running.rend() ? state.running.back() : *paused;
}

void PreemptToDecode(ScheduleState* state) {
  if (!state->cache.limits().shares_cells) return;
  while (state->running.size() > 1 && state->n_promised() > state->limits.cache.n_cells) {
    state->Preempt(ChooseVictim(*state));
  }
}

void PreemptPaused(int32_t n_plans, ScheduleState* state) {
  const auto next = std::ranges::find_if(state->waiting,
                                         [&](SequenceId id) { return !state->Get(id).is_paused; });
  if (next == state->waiting.end()) return;
  const ScheduledSequence& waiting = state->Get(*next);
  while (!state->running.empty() && !FitsBesideRunning(*state, waiting)) {
    const SequenceId id = ChooseVictim(*state);
    const ScheduledSequence& victim = state->Get(id);
    if (!victim.is_paused || victim.n_paused_plans < n_plans) return;
    state->Preempt(id);
  }
}
