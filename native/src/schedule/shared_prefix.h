// Which prefix of a prompt is taken over instead of computed: one that is cached, or one that an
// older sequence is computing, for which the younger one waits.
#pragma once

#include <cstddef>
#include <cstdint>

#include "schedule/schedule_state.h"

// The longest cached prefix that a sequence can start from.
PrefixMatch FindCachedPrefix(const ScheduleState& state, const ScheduledSequence& sequence);

// An older sequence that is still computing a prefix of a prompt.
struct PrefixLeader {
  SequenceId id = 0;
  // Length of the prefix; 0 where no older sequence computes one that is worth waiting for.
  int32_t n_tokens = 0;
};

// The leader for a sequence among the first `n_older` running ones. Only a prefix that is clearly
// longer than the `n_found` tokens which can be taken over now is worth waiting for.
PrefixLeader FindLeader(const ScheduleState& state, const ScheduledSequence& sequence,
                        size_t n_older, int32_t n_found);

// Makes the sequence at index `at` of the running ones wait for its leader, if it has one.
void AwaitLeader(size_t at, int32_t n_found, ScheduleState* state);

// Lets prefilling sequences take over what others, running or finished, have computed since the
// last step, or wait for a leader.
void SharePrefixes(ScheduleState* state);
