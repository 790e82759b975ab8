#include "schedule/background_prefill.h"

#include <algorithm>
#include <iterator>
#include <span>
#include <vector>

namespace {

// Tokens that a prompt must miss for the background prefill to be worth its price, and their
// minimum share of the cached ones, all of which are moved.
constexpr int32_t kMinTokens = 128;
constexpr int32_t kMinCachedShare = 16;
// Suffixes that are computed side by side. ggml's attention on a CPU takes several times as long
// for each token where a piece of a sequence has fewer than 64 (GGML_FA_TILE_Q), and the more so
// the longer its context is: from so many cached tokens on, for suffixes of this length, that is
// more than moving the cells takes.
constexpr int32_t kMinGroupTokens = 64;
constexpr int32_t kMinSuffix = 8;
constexpr int32_t kMaxSuffix = 64;
constexpr int32_t kMinSharedPrefix = 256;
// The part of the prompts' time by which the background prefill may exceed its own.
constexpr double kSlackShare = 1.0 / 3;

bool CanUseBackground(const ScheduleState& state, const ScheduledSequence& sequence) {
  return state.cache.limits().cuts && state.IsPrefilling(sequence) && !sequence.wants_logprobs() &&
         sequence.n_awaited == 0 && !sequence.avoids_background &&
         sequence.n_tokens() <= state.limits.max_background_tokens;
}

// All but the last token of what a sequence misses.
int32_t SuffixLength(const ScheduleState& state, const ScheduledSequence& sequence) {
  return state.n_missing(sequence) - 1;
}

// True if a sequence misses a short suffix behind a long cached prefix: it is computed faster side
// by side with others that share the prefix.
bool HasShortSuffix(const ScheduleState& state, const ScheduledSequence& sequence) {
  const int32_t n_suffix = SuffixLength(state, sequence);
  return CanUseBackground(state, sequence) && state.n_cached(sequence) >= kMinSharedPrefix &&
         n_suffix >= kMinSuffix && n_suffix <= kMaxSuffix;
}

bool IsPrefixOf(std::span<const Token> prefix, std::span<const Token> tokens) {
  return CommonPrefix(prefix, tokens) == static_cast<int32_t>(prefix.size());
}

// The sequences to compute side by side with this one, itself included; none if they are too few.
// The one with the longest cached prefix comes first: what is cached of the others is part of that.
std::vector<SequenceId> SuffixGroupOf(const ScheduleState& state,
                                      const ScheduledSequence& sequence) {
  if (state.limits.max_background_sequences < 2 || !HasShortSuffix(state, sequence)) return {};
  const auto cached = [&](SequenceId id) { return state.cache.cached(state.Get(id).cache_id); };
  std::vector<SequenceId> candidates;
  std::ranges::copy_if(state.running, std::back_inserter(candidates), [&](SequenceId id) {
    const ScheduledSequence& other = state.Get(id);
    return HasShortSuffix(state, other) && other.scope == sequence.scope;
  });
  const auto own = state.cache.cached(sequence.cache_id);
  const auto first = std::ranges::max_element(candidates, {}, [&](SequenceId id) {
    return IsPrefixOf(own, cached(id)) ? cached(id).size() : 0;
  });
  std::rotate(candidates.begin(), first, first + 1);

  const auto shared_prefix = cached(candidates[0]);
  std::vector<SequenceId> group;
  int32_t n_group = 0;
  for (const SequenceId id : candidates) {
    const int32_t n_suffix = SuffixLength(state, state.Get(id));
    const int32_t n_all = static_cast<int32_t>(shared_prefix.size()) + n_group + n_suffix;
    const bool is_full =
        static_cast<int32_t>(group.size()) == state.limits.max_background_sequences;
    const bool has_room = !is_full && n_all <= state.limits.max_background_tokens;
    if (!has_room || !IsPrefixOf(cached(id), shared_prefix)) continue;
    group.push_back(id);
    n_group += n_suffix;
  }
  if (group.size() < 2 || n_group < kMinGroupTokens) group.clear();
  return group;
}

// The sequences to compute next, none if there are none worth it.
std::vector<SequenceId> ChooseNext(const ScheduleState& state, int32_t n_decoding) {
  const int32_t n_min = n_decoding > 0 ? kMinTokens : state.limits.n_ubatch;
  for (const SequenceId id : state.running) {
    const ScheduledSequence& sequence = state.Get(id);
    if (IsWorthBackground(state, sequence, n_min)) return {id};
    std::vector<SequenceId> group = SuffixGroupOf(state, sequence);
    if (!group.empty()) return group;
  }
  return {};
}

BackgroundShare ShareOf(const ScheduleState& state, SequenceId id) {
  const ScheduledSequence& sequence = state.Get(id);
  const int32_t n_done = state.n_cached(sequence);
  const int32_t last = sequence.n_tokens() - 1;
  const int32_t end = sequence.shared_end > n_done ? std::min(sequence.shared_end, last) : last;
  return {id, sequence.cache_id, n_done, end - n_done};
}

}  // namespace

bool IsWorthBackground(const ScheduleState& state, const ScheduledSequence& sequence,
                       int32_t n_min) {
  const int32_t n_worth = std::max(n_min, state.n_cached(sequence) / kMinCachedShare);
  return CanUseBackground(state, sequence) && state.n_missing(sequence) > n_worth;
}

void AddBackgroundPrefill(ScheduleState* state, StepPlan* plan) {
  if (state->limits.max_background_tokens == 0) return;
  auto& chosen = state->in_background;
  std::erase_if(chosen, [&](SequenceId id) { return !CanUseBackground(*state, state->Get(id)); });
  if (chosen.empty()) chosen = ChooseNext(*state, state->n_decoding(*plan));
  if (chosen.empty()) return;
  plan->background.emplace();
  auto& shares = plan->background->shares;
  for (const SequenceId id : chosen) shares.push_back(ShareOf(*state, id));
  // The sequence that came first in its group may have ended before anything was computed.
  std::iter_swap(shares.begin(), std::ranges::max_element(shares, {}, &BackgroundShare::first));
}

// Prompts in the batch and in the background each have half of the prompts' time. While no sequence
// decodes, the time of the batch is not bounded.
void SetBackgroundTime(const ScheduleState& state, StepPlan* plan) {
  if (!plan->background) return;
  const int32_t n_decoding = state.n_decoding(*plan);
  const bool beside_prompts = !std::ranges::all_of(plan->work, &StepWork::is_decode);
  BackgroundWork& work = *plan->background;
  work.ms = state.pacer.PromptMs(n_decoding) / (beside_prompts ? 2 : 1);
  work.as_batch = beside_prompts && n_decoding == 0;
  work.slack_ms = beside_prompts || n_decoding > 0
                      ? kSlackShare * std::max(work.ms, state.pacer.DecodeMs(n_decoding))
                      : BackgroundWork::kNoLimit;
}
