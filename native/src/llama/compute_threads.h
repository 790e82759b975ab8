// Compute threads of ggml's CPU backend that outlive a batch.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "ggml-cpu.h"

struct ComputeThreadsDeleter {
  void (*free)(ggml_threadpool*) = nullptr;
  void operator()(ggml_threadpool* threads) const { free(threads); }
};
using ComputeThreads = std::unique_ptr<ggml_threadpool, ComputeThreadsDeleter>;

// `poll` is ggml's busy-wait between graphs, 0 (sleep at once) to 100. They run on `processors`,
// below GGML_MAX_N_THREADS each, or anywhere when there are none, and inherit the caller's
// priority. Throws std::runtime_error when they cannot be started.
ComputeThreads StartComputeThreads(int32_t n_threads, uint32_t poll,
                                   std::span<const int32_t> processors);
