#include "schedule/admission.h"

#include <algorithm>

#include "schedule/shared_prefix.h"

namespace {

// Steps of a new sequence's prefill for which cells are reserved for the decoding of the others. A
// longer prefill may preempt a sequence.
constexpr int32_t kMaxStepsAhead = 64;

}  // namespace

bool FitsBesideRunning(const ScheduleState& state, const ScheduledSequence& sequence) {
  const int32_t n_running = state.n_running();
  if (n_running >= state.limits.n_slots) return false;
  // In a split cache every slot has room for a whole sequence.
  if (n_running == 0 || !state.cache.limits().shares_cells) return true;
  const PrefixMatch match = FindCachedPrefix(state, sequence);
  const int32_t n_shared =
      std::max(state.cache.n_open_cells(match),
               FindLeader(state, sequence, state.running.size(), match.n_tokens).n_tokens);
  const int32_t n_new = sequence.n_tokens() - n_shared;
  const int32_t chunk = std::min(state.limits.n_ubatch, state.pacer.Chunk(n_running, n_new));
  const int32_t n_steps = std::min(kMaxStepsAhead, (n_new + chunk - 1) / chunk);
  return state.n_promised() + n_new + n_running * n_steps + 1 <= state.limits.cache.n_cells;
}

void AdmitWaiting(ScheduleState* state) {
  for (auto at = state->waiting.begin(); at != state->waiting.end();) {
    const SequenceId id = *at;
    ScheduledSequence& sequence = state->Get(id);
    if (sequence.is_paused) {
      ++at;
      continue;
    }
    if (!FitsBesideRunning(*state, sequence)) return;
    at = state->waiting.erase(at);
    state->running.push_back(id);
    const PrefixMatch match = FindCachedPrefix(*state, sequence);
    sequence.cache_id = state->cache.Open(sequence.scope, sequence.n_prompt, match);
    sequence.n_awaited = sequence.shared_end = 0;
    sequence.is_new = true;
    AwaitLeader(state->running.size() - 1, state->n_cached(sequence), state);
  }
}
