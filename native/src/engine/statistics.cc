#include "engine/statistics.h"

#include <algorithm>
#include <bit>

void Statistics::CountDecode(int32_t n_calls, double ms) {
  counted_.n_decode_calls += n_calls;
  counted_.decode_ms += ms;
}

void Statistics::CountBatch(int32_t n_tokens) {
  if (n_tokens == 0) return;
  counted_.n_decoded_tokens += n_tokens;
  const auto size = static_cast<size_t>(std::bit_width(static_cast<uint32_t>(n_tokens - 1)));
  auto& by_size = counted_.n_batches_by_size;
  by_size.resize(std::max(by_size.size(), size + 1));
  ++by_size[size];
}

void Statistics::CountBackground(int32_t n_tokens) {
  counted_.n_decoded_tokens += n_tokens;
  counted_.n_background_tokens += n_tokens;
}

void Statistics::CountComputed(int32_t first, int32_t n_tokens, Completion* completion) {
  const bool found_none = completion->n_cached_tokens() == 0;
  const Completion::Progress progress = completion->MarkComputed(first, n_tokens);
  counted_.n_prefilled_tokens += progress.n_prefilled;
  counted_.n_cached_tokens += progress.n_cached;
  counted_.n_recomputed_tokens += progress.n_recomputed;
  if (found_none && progress.n_cached > 0) ++counted_.n_prefix_hits;
}

void Statistics::CountDraft(int32_t n_drafted, int32_t n_accepted, Completion* completion) {
  if (n_drafted == 0) return;
  completion->CountDraft(n_drafted, n_accepted);
  ++counted_.n_drafts;
  counted_.n_drafted_tokens += n_drafted;
  counted_.n_accepted_tokens += n_accepted;
  auto& by_position = counted_.n_accepted_by_position;
  by_position.resize(std::max(by_position.size(), static_cast<size_t>(n_drafted)));
  for (int32_t position = 0; position < n_accepted; ++position) ++by_position[position];
}

void Statistics::Publish(const Scheduler* scheduler) {
  counted_.n_running = scheduler != nullptr ? scheduler->n_running() : 0;
  counted_.n_waiting = scheduler != nullptr ? scheduler->n_waiting() : 0;
  counted_.n_used_kv_tokens = scheduler != nullptr ? scheduler->cache().n_open_cells() : 0;
  counted_.n_cached_kv_tokens =
      scheduler != nullptr ? scheduler->cache().n_used() - counted_.n_used_kv_tokens : 0;
  counted_.n_cached_prefixes = scheduler != nullptr ? scheduler->cache().n_prefixes() : 0;
  counted_.n_stored_tokens = scheduler != nullptr ? scheduler->cache().stored().n_tokens() : 0;
  counted_.n_stored_prefixes = scheduler != nullptr ? scheduler->cache().stored().n_prefixes() : 0;
  if (scheduler != nullptr) {
    counted_.n_restored = scheduler->cache().n_restored();
    counted_.n_preempted = scheduler->n_preempted();
    counted_.n_moved = scheduler->n_moved();
  }
  const std::lock_guard lock(mutex_);
  published_ = counted_;
}

EngineStats Statistics::published() const {
  const std::lock_guard lock(mutex_);
  return published_;
}
