// A split KV cache computes neighbouring ids in one pass over the model's weights, and each gap
// between those that compute costs one more. Where to move whom, so that a step takes fewer passes.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "schedule/prefix_cache.h"

enum class IdUse : uint8_t {
  kFree,
  // Holds a prefix, which can be moved elsewhere.
  kKept,
  // Open, but computes nothing now: stays where it is.
  kWaits,
  // Computes, and stays where it is.
  kStays,
  // Computes, and may be moved.
  kMoves,
};

// Runs of neighbouring ids that compute.
int32_t CountRuns(std::span<const IdUse> uses);

struct GapMove {
  CacheId from = 0;
  CacheId to = 0;
};

// The next move on the way to fewer runs, or none: when there is one run, when nobody may move, or
// when every run has more than `n_most` ids, so that to dissolve one would take more moves.
std::optional<GapMove> NextGapMove(std::span<const IdUse> uses, int32_t n_most);
