// The functions of ggml's CPU backend that the kernels call; a process may hold several backends.
#pragma once

#include <cstddef>
#include <vector>

#include "ggml-backend.h"
#include "ggml-cpu-impl.h"
#include "ggml-cpu.h"
#include "traits.h"

struct CpuBackend {
  decltype(&ggml_backend_cpu_get_extra_buffer_types) extra_buffer_types;
  decltype(&ggml_barrier) barrier;
  decltype(&ggml_threadpool_chunk_set) set_chunk;
  decltype(&ggml_threadpool_chunk_add) add_chunk;
};

// Looks them up in the library of `device`. False if one is missing.
bool FindCpuBackend(ggml_backend_dev_t device, CpuBackend* backend);

// Calls work(chunk) for each of `n_chunks`, on all threads together. As in ggml every thread starts
// with one chunk and takes the next one when it is done. Needs a barrier behind ResetChunks.
inline void ResetChunks(const CpuBackend& backend, const ggml_compute_params& params) {
  if (params.ith == 0) backend.set_chunk(params.threadpool, params.nth);
}
template <typename Work>
void TakeChunks(const CpuBackend& backend, const ggml_compute_params& params, size_t n_chunks,
                Work work) {
  for (auto chunk = static_cast<size_t>(params.ith); chunk < n_chunks;
       chunk = static_cast<size_t>(backend.add_chunk(params.threadpool, 1))) {
    work(chunk);
  }
}
