// How many tokens of each prompt the batch computes.
#pragma once

#include "schedule/schedule_state.h"

// Adds prompts to a plan that has its decodes and its background prefill, oldest first.
//
// While a sequence decodes, prompts get what the time target allows, and half of it beside the
// background prefill. Otherwise the oldest ones share a ubatch, and those behind that can be
// finished are added up to a whole batch: prompts that arrive together then sample together, and
// none waits for the decoding of the others.
void AddPrefills(ScheduleState* state, StepPlan* plan);
