// Which sequences move to which slots, so that a step takes fewer passes over the model's weights
// (docs/decisions/0016-slot-compaction.md). A split KV cache computes a run of adjacent ids in one
// pass: each gap between ids that compute costs one more.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "schedule/schedule_state.h"

// What one cache id is used for.
enum class SlotUse : uint8_t {
  kFree,
  // Holds a cached prefix, which can be moved elsewhere.
  kCached,
  // Belongs to a sequence that computes nothing now, or that cannot move: no sequence moves there.
  kIdle,
  // Computes, and stays where it is.
  kFixed,
  // Computes, and may be moved.
  kMovable,
};

// Runs of adjacent ids that compute.
int32_t CountRuns(std::span<const SlotUse> uses);

struct SlotMove {
  CacheId from = 0;
  CacheId to = 0;
};

// The next move on the way to fewer runs. None when there is one run, when no sequence may move, or
// when every run has more than `max_moves` ids, so that dissolving one would take more moves.
std::optional<SlotMove> NextSlotMove(std::span<const SlotUse> uses, int32_t max_moves);

class SlotCompaction {
 public:
  // A new sequence with a small cache moves immediately. An older one moves only after its gap has
  // stayed open for as many steps as the move costs passes, so that the total is at most twice
  // optimal (ski rental). Requires that no copy is pending: its source must not move.
  void Compact(ScheduleState* state);

  // Sequences moved since the start.
  uint64_t n_moved() const { return n_moved_; }

 private:
  uint64_t n_moved_ = 0;
  // Plans since the ids that compute form more than one run.
  int32_t n_open_plans_ = 0;
};
