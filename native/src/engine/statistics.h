// Counts what the engine does. The engine thread counts and publishes; any thread reads what was
// published last.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>

#include "engine/completion.h"
#include "engine/engine_stats.h"
#include "schedule/scheduler.h"

class Statistics {
 public:
  // The engine thread. A step begins to compute; it took `ms` from draft to measure.
  void CountStep() { ++counted_.n_steps; }
  void CountStepTime(double ms) { counted_.step_ms += ms; }
  // Calls of llama_decode that took `ms` together.
  void CountDecode(int32_t n_calls, double ms);
  // A batch of `n_tokens`, possibly 0, was computed.
  void CountBatch(int32_t n_tokens);
  void CountBackground(int32_t n_tokens);
  // The tokens [first, first + n_tokens) of a sequence were computed.
  void CountComputed(int32_t first, int32_t n_tokens, Completion* completion);
  // Compute threads in use.
  void SetThreads(int32_t n) { counted_.n_threads = n; }
  void CountSampling(double ms) { counted_.sampling_ms += ms; }
  void CountSampled(size_t n_tokens) { counted_.n_sampled_tokens += n_tokens; }
  // A draft was verified. Does nothing without drafted tokens.
  void CountDraft(int32_t n_drafted, int32_t n_accepted, Completion* completion);

  // The engine thread. Makes the counts visible to other threads, with the gauges of `scheduler`;
  // all gauges are 0 without one.
  void Publish(const Scheduler* scheduler);

  // Any thread.
  EngineStats published() const;

 private:
  EngineStats counted_;

  mutable std::mutex mutex_;
  EngineStats published_;
};
