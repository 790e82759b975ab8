// Which prompts are computed apart from the batch, in a context of their own between the steps of
// others, and for how long (docs/decisions/0015-background-prefill.md).
#pragma once

#include <cstdint>

#include "schedule/schedule_state.h"

// True if a prompt misses more than `n_min` tokens, and so many that the background prefill is
// worth its price.
bool IsWorthBackground(const ScheduleState& state, const ScheduledSequence& sequence,
                       int32_t n_min);

// Adds the background prefill to a plan that has its decodes.
//
// While a sequence decodes, the oldest long prompt is computed in the background: all but its last
// token, which is sampled from. While none does, so is one that takes several steps, or the next
// request would wait for one of them. Where younger sequences wait for a shared prefix, the prompt
// returns to the cache there for them to start from. Then the suffixes of all are computed side by
// side in the background.
void AddBackgroundPrefill(ScheduleState* state, StepPlan* plan);

// Sets the time of the plan's background prefill, if there is one. Requires a plan that has its
// decodes and prompts.
void SetBackgroundTime(const ScheduleState& state, StepPlan* plan);
