#include "schedule/shared_prefix.h"

#include <algorithm>

namespace {

// Tokens of a shared prefix from which waiting for its leader is worth a step. Any two prompts of
// one chat template share fewer.
constexpr int32_t kMinSharedTokens = 32;

int32_t MinSharedTokens(const ScheduleState& state) {
  return std::max(kMinSharedTokens, state.cache.limits().min_copy_tokens);
}

}  // namespace

// A prefix whose logits a sequence still needs cannot be taken over: cached tokens have none.
PrefixMatch FindCachedPrefix(const ScheduleState& state, const ScheduledSequence& sequence) {
  const PrefixMatch match = state.cache.Find(sequence.tokens, sequence.scope);
  const bool needs_logits = sequence.wants_logprobs() && match.n_tokens > sequence.logprobs_begin;
  return needs_logits ? PrefixMatch{} : match;
}

PrefixLeader FindLeader(const ScheduleState& state, const ScheduledSequence& sequence,
                        size_t n_older, int32_t n_found) {
  PrefixLeader leader;
  if (!state.cache.limits().copies || sequence.wants_logprobs()) return leader;
  for (size_t i = 0; i < n_older; ++i) {
    const ScheduledSequence& older = state.Get(state.running[i]);
    if (!state.IsPrefilling(older) || older.scope != sequence.scope) continue;
    // A prompt with log probabilities is computed in small pieces, which may take longer than to
    // compute the prefix again.
    if (older.wants_logprobs()) continue;
    const int32_t n =
        std::min(CommonPrefix(sequence.tokens, older.tokens), sequence.n_tokens() - 1);
    // A little more from a sequence that waits itself would cost another wait.
    const int32_t n_known = std::max({state.n_cached(sequence), n_found, leader.n_tokens});
    if (n >= n_known + MinSharedTokens(state) && n > state.n_cached(older)) {
      leader = {state.running[i], n};
    }
  }
  return leader;
}

void AwaitLeader(size_t at, int32_t n_found, ScheduleState* state) {
  ScheduledSequence& sequence = state->Get(state->running[at]);
  const PrefixLeader found = FindLeader(*state, sequence, at, n_found);
  if (found.n_tokens == 0) return;
  sequence.n_awaited = found.n_tokens;
  ScheduledSequence& leader = state->Get(found.id);
  if (found.n_tokens == leader.n_tokens()) return;
  const bool nearest = !state->cache.limits().cuts && leader.shared_end > 0;
  leader.shared_end = nearest ? std::min(leader.shared_end, found.n_tokens)
                              : std::max(leader.shared_end, found.n_tokens);
}

void SharePrefixes(ScheduleState* state) {
  if (!state->cache.limits().copies) return;
  for (size_t at = 0; at < state->running.size(); ++at) {
    const SequenceId id = state->running[at];
    const ScheduledSequence& sequence = state->Get(id);
    if (!state->IsPrefilling(sequence) || state->IsInBackground(id)) continue;
    const PrefixMatch match = FindCachedPrefix(*state, sequence);
    AwaitLeader(at, match.n_tokens, state);
    if (sequence.n_awaited > 0) continue;
    const int32_t n_gained = match.n_tokens - state->n_cached(sequence);
    if (n_gained >= MinSharedTokens(*state)) state->cache.Adopt(sequence.cache_id, match);
  }
}
