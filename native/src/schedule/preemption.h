// Which running sequence gives way, and when: where the cache has no room for the next tokens of
// the others, and where a paused sequence keeps a slot that another one waits for.
#pragma once

#include <cstdint>

#include "schedule/schedule_state.h"

// How many plans a paused sequence may keep its slot while another one waits: long enough for a
// reader that only stutters, since resuming may cost the whole prefill.
inline constexpr int32_t kPausedPatiencePlans = 64;

// The youngest paused sequence, else the youngest one. Requires a running sequence.
SequenceId ChooseVictim(const ScheduleState& state);

// Preempts until all known tokens of the running sequences fit the cache, or one sequence is left.
void PreemptToDecode(ScheduleState* state);

// Preempts sequences that have been paused for `n_plans` plans, until the first waiting sequence
// that could run fits.
void PreemptPaused(int32_t n_plans, ScheduleState* state);
