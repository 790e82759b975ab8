#include "schedule/gaps.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace {

struct Run {
  CacheId first = 0;
  CacheId last = 0;
  // Whether nobody in it stays.
  bool moves = true;

  int32_t n() const { return last - first + 1; }
};

bool Computes(IdUse use) { return use == IdUse::kStays || use == IdUse::kMoves; }

std::vector<Run> RunsOf(std::span<const IdUse> uses) {
  std::vector<Run> runs;
  for (CacheId id = 0; id < static_cast<CacheId>(uses.size()); ++id) {
    if (!Computes(uses[id])) continue;
    if (!runs.empty() && runs.back().last == id - 1) {
      runs.back().last = id;
    } else {
      runs.push_back({id, id});
    }
    if (uses[id] == IdUse::kStays) runs.back().moves = false;
  }
  return runs;
}

// Runs that end right before or begin right behind an id.
int32_t CountNeighbours(std::span<const Run> runs, CacheId id) {
  return static_cast<int32_t>(std::ranges::count_if(
      runs, [id](const Run& run) { return run.last + 1 == id || run.first == id + 1; }));
}

// The best place beside one of `runs`: between two of them, else a free id rather than one whose
// prefix must make way; -1 when there is none.
CacheId PlaceBeside(std::span<const Run> runs, std::span<const IdUse> uses) {
  CacheId best = -1;
  int32_t best_score = 0;
  for (CacheId id = 0; id < static_cast<CacheId>(uses.size()); ++id) {
    if (uses[id] != IdUse::kFree && uses[id] != IdUse::kKept) continue;
    const int32_t n = CountNeighbours(runs, id);
    const int32_t score = n == 0 ? 0 : 2 * n + (uses[id] == IdUse::kFree ? 1 : 0);
    if (score <= best_score) continue;
    best = id;
    best_score = score;
  }
  return best;
}

}  // namespace

int32_t CountRuns(std::span<const IdUse> uses) { return static_cast<int32_t>(RunsOf(uses).size()); }

std::optional<GapMove> NextGapMove(std::span<const IdUse> uses, int32_t n_most) {
  std::vector<Run> runs = RunsOf(uses);
  // Short ones go to longer ones, and all to those that stay, so that no two ever take turns.
  std::ranges::stable_sort(runs, [](const Run& a, const Run& b) {
    return std::pair(!a.moves, a.n()) < std::pair(!b.moves, b.n());
  });
  for (size_t i = 0; i + 1 < runs.size(); ++i) {
    const Run& run = runs[i];
    if (!run.moves || run.n() > n_most) break;
    const CacheId to = PlaceBeside(std::span(runs).subspan(i + 1), uses);
    // The far end first: what lies between may be closed by that alone.
    if (to >= 0) return GapMove{to < run.first ? run.last : run.first, to};
  }
  return std::nullopt;
}
