#include "schedule/slot_compaction.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace {

// Minimum number of steps for which a gap is left to the next new sequence.
constexpr int32_t kMinOpenPlans = 4;
// Cached tokens up to which a new sequence moves immediately.
constexpr int32_t kMaxLightTokens = 512;

struct Run {
  CacheId first = 0;
  CacheId last = 0;
  // True if every id of the run may be moved.
  bool moves = true;

  int32_t n() const { return last - first + 1; }
};

bool Computes(SlotUse use) { return use == SlotUse::kFixed || use == SlotUse::kMovable; }

std::vector<Run> RunsOf(std::span<const SlotUse> uses) {
  std::vector<Run> runs;
  for (CacheId id = 0; id < static_cast<CacheId>(uses.size()); ++id) {
    if (!Computes(uses[id])) continue;
    if (!runs.empty() && runs.back().last == id - 1) {
      runs.back().last = id;
    } else {
      runs.push_back({id, id});
    }
    if (uses[id] == SlotUse::kFixed) runs.back().moves = false;
  }
  return runs;
}

// Runs that end right before or begin right behind an id.
int32_t CountAdjacent(std::span<const Run> runs, CacheId id) {
  return static_cast<int32_t>(std::ranges::count_if(
      runs, [id](const Run& run) { return run.last + 1 == id || run.first == id + 1; }));
}

// The best id beside one of `runs`: one between two of them, else a free id rather than one with a
// cached prefix. -1 when there is none.
CacheId IdBeside(std::span<const Run> runs, std::span<const SlotUse> uses) {
  CacheId best = -1;
  int32_t best_score = 0;
  for (CacheId id = 0; id < static_cast<CacheId>(uses.size()); ++id) {
    if (uses[id] != SlotUse::kFree && uses[id] != SlotUse::kCached) continue;
    const int32_t n = CountAdjacent(runs, id);
    const int32_t score = n == 0 ? 0 : 2 * n + (uses[id] == SlotUse::kFree ? 1 : 0);
    if (score <= best_score) continue;
    best = id;
    best_score = score;
  }
  return best;
}

// The new sequences that hold nothing get their cache ids in order: they are computed in the order
// in which they arrived, a few at a time.
void SortNew(ScheduleState* state) {
  std::vector<SequenceId> empty;
  std::ranges::copy_if(state->running, std::back_inserter(empty), [&](SequenceId id) {
    const ScheduledSequence& sequence = state->Get(id);
    return sequence.is_new && state->n_cached(sequence) == 0;
  });
  for (size_t i = 0; i < empty.size(); ++i) {
    ScheduledSequence& sequence = state->Get(empty[i]);
    for (size_t j = i + 1; j < empty.size(); ++j) {
      ScheduledSequence& later = state->Get(empty[j]);
      if (later.cache_id > sequence.cache_id) continue;
      state->cache.Swap(sequence.cache_id, later.cache_id);
      std::swap(sequence.cache_id, later.cache_id);
    }
  }
}

// The use of every cache id. `all_move`: older sequences may move as well as new ones.
std::vector<SlotUse> UsesOf(const ScheduleState& state, bool all_move) {
  const PrefixCache& cache = state.cache;
  std::vector<SlotUse> uses(cache.limits().n_ids);
  for (CacheId id = 0; id < cache.limits().n_ids; ++id) {
    if (cache.state(id) != PrefixCache::State::kCached) continue;
    uses[id] = cache.MayMove(id) ? SlotUse::kCached : SlotUse::kIdle;
  }
  for (const SequenceId id : state.running) {
    const ScheduledSequence& sequence = state.Get(id);
    const bool is_idle = sequence.is_paused || state.IsInBackground(id) || sequence.n_awaited > 0;
    const bool is_light = sequence.is_new && state.n_cached(sequence) <= kMaxLightTokens;
    const bool moves = (all_move || is_light) && cache.MayMove(sequence.cache_id);
    uses[sequence.cache_id] = is_idle ? SlotUse::kIdle
                              : moves ? SlotUse::kMovable
                                      : SlotUse::kFixed;
  }
  return uses;
}

void Move(SlotMove move, ScheduleState* state) {
  const auto moved = std::ranges::find_if(
      state->running, [&](SequenceId id) { return state->Get(id).cache_id == move.from; });
  state->cache.Rename(move.from, move.to);
  state->Get(*moved).cache_id = move.to;
}

}  // namespace

int32_t CountRuns(std::span<const SlotUse> uses) {
  return static_cast<int32_t>(RunsOf(uses).size());
}

std::optional<SlotMove> NextSlotMove(std::span<const SlotUse> uses, int32_t max_moves) {
  std::vector<Run> runs = RunsOf(uses);
  // Short runs go to longer ones, and all go to fixed ones, so that no two ever take turns.
  std::ranges::stable_sort(runs, [](const Run& a, const Run& b) {
    return std::pair(!a.moves, a.n()) < std::pair(!b.moves, b.n());
  });
  for (size_t i = 0; i + 1 < runs.size(); ++i) {
    const Run& run = runs[i];
    if (!run.moves || run.n() > max_moves) break;
    const CacheId to = IdBeside(std::span(runs).subspan(i + 1), uses);
    // The far end first: that alone may close the gap between.
    if (to >= 0) return SlotMove{to < run.first ? run.last : run.first, to};
  }
  return std::nullopt;
}

void SlotCompaction::Compact(ScheduleState* state) {
  const int32_t max_moves = state->limits.max_compaction_moves;
  if (max_moves == 0) return;
  SortNew(state);
  const bool has_new =
      std::ranges::any_of(state->running, [&](SequenceId id) { return state->Get(id).is_new; });
  if (has_new) n_open_plans_ = 0;
  const bool all_move = n_open_plans_ >= std::max(kMinOpenPlans, kMaxCompactionPasses / max_moves);
  std::vector<SlotUse> uses = UsesOf(*state, all_move);
  n_open_plans_ = CountRuns(uses) > 1 ? n_open_plans_ + 1 : 0;
  while (const auto move = NextSlotMove(uses, max_moves)) {
    Move(*move, state);
    ++n_moved_;
    if (all_move) {
      n_open_plans_ = 0;
      return;
    }
    uses = UsesOf(*state, all_move);
  }
}
