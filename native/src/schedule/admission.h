// Which waiting sequences start: in order, each as soon as there is a slot and room for all its
// tokens.
#pragma once

#include "schedule/schedule_state.h"

// True if there is a slot for a waiting sequence, and cells for all its tokens and for what the
// others decode while it is prefilled.
bool FitsBesideRunning(const ScheduleState& state, const ScheduledSequence& sequence);

// Starts the waiting sequences that fit. A sequence starts from its longest cached prefix, or waits
// for its leader. A paused sequence is passed over. Any other one that does not fit holds back
// those behind it, or a large prompt would starve.
void AdmitWaiting(ScheduleState* state);
