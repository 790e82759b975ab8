#include "engine/engine_options.h"

#include <algorithm>
#include <chrono>

namespace {

// Sequences for whose longest drafts a step has room. More sequences keep the machine busy without
// drafts.
constexpr int32_t kMaxDrafting = 4;

}  // namespace

Clock::duration EngineOptions::stream_interval() const {
  return std::chrono::duration_cast<Clock::duration>(
      std::chrono::duration<double, std::milli>(stream_interval_ms));
}

EngineOptions Complete(EngineOptions options) {
  options.context.n_batch = std::max(options.context.n_batch, options.context.n_slots);
  if (options.drafts.kind != DraftKind::kNone) {
    options.context.n_drafted = kMaxDrafting * options.drafts.n_max;
  }
  return options;
}
