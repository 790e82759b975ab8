// ggml's attention over a KV cache in 16-bit floats, computed by this project's kernels.
#pragma once

#include <atomic>
#include <cstdint>

#include "ggml.h"
#include "kernels/attention.h"
#include "kernels/cpu_backend.h"

// FLASH_ATTN_EXT without ALiBi and without capped scores.
class AttentionTraits final : public ggml::cpu::tensor_traits {
 public:
  AttentionTraits(const CpuBackend& backend, const AttentionKernel& kernel)
      : backend_(backend), kernel_(kernel) {}

  // How many it has computed.
  int64_t n_computed() const { return n_computed_.load(std::memory_order_relaxed); }

  // Decided by what does not change between a graph's planning and its computing.
  bool Suits(const ggml_tensor* op) const;
  bool work_size(int n_threads, const ggml_tensor* op, size_t& size) override;
  // Called by every compute thread, each with its number.
  bool compute_forward(ggml_compute_params* params, ggml_tensor* op) override;

 private:
  const CpuBackend backend_;
  const AttentionKernel& kernel_;
  std::atomic<int64_t> n_computed_ = 0;
};
