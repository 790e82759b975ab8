// Compute threads of ggml's CPU backend that outlive a batch.
#pragma once

#include <cstdint>
#include <memory>

#include "ggml-cpu.h"

struct ComputeThreadsDeleter {
  void (*free)(ggml_threadpool*) = nullptr;
  void operator()(ggml_threadpool* threads) const { free(threads); }
};
using ComputeThreads = std::unique_ptr<ggml_threadpool, ComputeThreadsDeleter>;

// `poll` is ggml's busy-wait between graphs, 0 (sleep at once) to 100. The threads inherit the
// caller's priority. Throws std::runtime_error when they cannot be started.
ComputeThreads StartComputeThreads(int32_t n_threads, uint32_t poll);
