// The engine's counters and gauges: one list, from which the addon, /metrics and the documentation
// are made. To add a statistic, add its member and its row here, and count it; then run
// `npm run docs:metrics`.
#pragma once

#include <cstdint>
#include <vector>

struct Statistic {
  // The name in JavaScript.
  const char* name;
  enum class Kind { kCounter, kGauge } kind;
  // The base of a Prometheus series has other units than milliseconds: JavaScript divides these.
  enum class Unit { kCount, kMilliseconds } unit;
  // The Prometheus series. Null if the value is exported under names of other servers only
  // (src/observe/metrics/engine-metrics.ts).
  const char* series;
  // The help text of the series, and its documentation.
  const char* help;
  // The Prometheus label that tells the elements of a list apart; null for single numbers.
  const char* label = nullptr;
};

// Counters since the engine started, and gauges of the last step.
struct EngineStats {
  uint64_t n_steps = 0;
  uint64_t n_decode_calls = 0;
  uint64_t n_decoded_tokens = 0;
  uint64_t n_prefilled_tokens = 0;
  uint64_t n_cached_tokens = 0;
  uint64_t n_recomputed_tokens = 0;
  uint64_t n_background_tokens = 0;
  uint64_t n_sampled_tokens = 0;
  double step_ms = 0;
  double decode_ms = 0;
  double sampling_ms = 0;
  uint64_t n_prefix_hits = 0;
  uint64_t n_preempted = 0;
  uint64_t n_moved = 0;
  uint64_t n_restored = 0;
  uint64_t n_drafts = 0;
  uint64_t n_drafted_tokens = 0;
  uint64_t n_accepted_tokens = 0;
  std::vector<uint64_t> n_accepted_by_position = {};
  std::vector<uint64_t> n_batches_by_size = {};
  int32_t n_running = 0;
  int32_t n_waiting = 0;
  int32_t n_used_kv_tokens = 0;
  int32_t n_cached_kv_tokens = 0;
  int32_t n_cached_prefixes = 0;
  int32_t n_stored_tokens = 0;
  int32_t n_stored_prefixes = 0;
  int32_t n_threads = 0;

  // Calls visit(statistic, member) for each statistic, in the order of /metrics.
  template <class Visitor>
  void VisitStatistics(const Visitor& visit) const {
    constexpr auto kCounter = Statistic::Kind::kCounter;
    constexpr auto kGauge = Statistic::Kind::kGauge;
    constexpr auto kCount = Statistic::Unit::kCount;
    constexpr auto kMilliseconds = Statistic::Unit::kMilliseconds;
    visit({"stepCount", kCounter, kCount, "gateway_engine_steps_total",
           "Steps of the engine: a batch, a slice of background prefill, or both."},
          n_steps);
    visit({"stepMs", kCounter, kMilliseconds, "gateway_engine_step_seconds_total",
           "Time spent in steps; divided by the steps it is the time of one."},
          step_ms);
    visit({"decodeMs", kCounter, kMilliseconds, "gateway_engine_decode_seconds_total",
           "The part of the step time in llama_decode."},
          decode_ms);
    visit({"samplingMs", kCounter, kMilliseconds, "gateway_engine_sampling_seconds_total",
           "The part of the step time in sampling."},
          sampling_ms);
    visit({"decodedTokenCount", kCounter, kCount, "gateway_engine_batch_tokens_total",
           "Tokens computed, including those of background prefill; divided by the steps it is the "
           "size of a batch."},
          n_decoded_tokens);
    visit({"recomputedTokenCount", kCounter, kCount, "gateway_engine_recomputed_tokens_total",
           "Tokens computed again, for sequences that had been preempted."},
          n_recomputed_tokens);
    visit({"backgroundPrefilledTokenCount", kCounter, kCount, "gateway_engine_lane_tokens_total",
           "Prompt tokens computed by background prefill, between the steps of other sequences; "
           "includes prompts that were cancelled."},
          n_background_tokens);
    visit({"movedSequenceCount", kCounter, kCount, "gateway_engine_moved_sequences_total",
           "Sequences moved by slot compaction in a split KV cache."},
          n_moved);
    visit({"prefixHitCount", kCounter, kCount, "gateway_prefix_cache_hit_sequences_total",
           "Sequences that found a part of their prompt in the prefix cache."},
          n_prefix_hits);
    visit({"restoredPrefixCount", kCounter, kCount, "gateway_restored_prefixes_total",
           "Prefixes that came back to the KV cache from the memory of CACHE_RAM."},
          n_restored);
    visit({"decodeCallCount", kCounter, kCount, nullptr, "Calls of llama_decode."}, n_decode_calls);
    visit({"prefilledTokenCount", kCounter, kCount, nullptr,
           "Prompt tokens computed, each counted once."},
          n_prefilled_tokens);
    visit({"cachedTokenCount", kCounter, kCount, nullptr, "Prompt tokens found in the cache."},
          n_cached_tokens);
    visit({"sampledTokenCount", kCounter, kCount, nullptr, "Tokens sampled."}, n_sampled_tokens);
    visit({"preemptedSequenceCount", kCounter, kCount, nullptr,
           "Times a sequence was preempted because the KV cache was full."},
          n_preempted);
    visit({"draftCount", kCounter, kCount, nullptr, "Drafts that were verified."}, n_drafts);
    visit({"draftedTokenCount", kCounter, kCount, nullptr, "Tokens of verified drafts."},
          n_drafted_tokens);
    visit({"acceptedTokenCount", kCounter, kCount, nullptr, "Draft tokens that were accepted."},
          n_accepted_tokens);
    visit({"acceptedTokenCountByPosition", kCounter, kCount, nullptr,
           "Draft tokens that were accepted, by their position in the draft, from 0.", "position"},
          n_accepted_by_position);
    visit(
        {"batchCountBySize", kCounter, kCount, nullptr,
         "Batches by their tokens: element i counts those of at most 2^i tokens, and of more than "
         "the elements before it.",
         "size"},
        n_batches_by_size);
    visit({"runningCount", kGauge, kCount, nullptr, "Sequences that hold a slot."}, n_running);
    visit({"waitingCount", kGauge, kCount, nullptr, "Sequences that wait for a slot."}, n_waiting);
    visit({"usedKvTokenCount", kGauge, kCount, "gateway_kv_used_tokens",
           "KV cells of running sequences; shared cells count once."},
          n_used_kv_tokens);
    visit({"cachedKvTokenCount", kGauge, kCount, "gateway_kv_kept_tokens",
           "KV cells that only cached prefixes hold. They are free for any sequence."},
          n_cached_kv_tokens);
    visit({"cachedPrefixCount", kGauge, kCount, "gateway_kept_prefixes",
           "Prefixes of finished sequences in the cache."},
          n_cached_prefixes);
    visit({"storedTokenCount", kGauge, kCount, "gateway_stored_tokens",
           "Tokens of prefixes that left the KV cache for the memory of CACHE_RAM."},
          n_stored_tokens);
    visit({"storedPrefixCount", kGauge, kCount, "gateway_stored_prefixes",
           "Prefixes in the memory of CACHE_RAM."},
          n_stored_prefixes);
    visit({"threadCount", kGauge, kCount, "gateway_compute_threads",
           "Threads that compute, fewer than at the start while other processes want the cores."},
          n_threads);
  }
};
