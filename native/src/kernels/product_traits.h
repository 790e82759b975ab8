// ggml's products of quantized weights and floats, computed by this project's kernels.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include "ggml.h"
#include "kernels/cpu_backend.h"
#include "kernels/tile_matmul.h"

// The format of a type; none for one that the kernels do not multiply.
std::optional<WeightFormat> FormatOf(ggml_type type);
ggml_type TypeOf(WeightFormat format);

// What both kinds of products have in common.
class TileTraits : public ggml::cpu::tensor_traits {
 public:
  TileTraits(const CpuBackend& backend, const TileKernel& kernel)
      : backend_(backend), kernel_(kernel) {}

  int64_t n_computed() const { return n_computed_.load(std::memory_order_relaxed); }

 protected:
  // So that a thread that lost its core for a while does not keep the others waiting.
  static constexpr size_t kChunksPerThread = 4;

  void Count(const ggml_compute_params& params) {
    if (params.ith == 0) n_computed_.fetch_add(1, std::memory_order_relaxed);
  }
  void Pack(const ggml_compute_params& params, const TileProduct& product) const;
  // Multiplies one of `n_chunks` equal parts of the tiles.
  void Multiply(const TileProduct& product, size_t chunk, size_t n_chunks) const;

  const CpuBackend backend_;
  const TileKernel& kernel_;

 private:
  std::atomic<int64_t> n_computed_ = 0;
};

// MUL_MAT of two matrices.
class ProductTraits final : public TileTraits {
 public:
  using TileTraits::TileTraits;

  // Decided by what does not change between a graph's planning and its computing.
  bool Suits(const ggml_tensor* op) const;
  bool work_size(int n_threads, const ggml_tensor* op, size_t& size) override;
  // Called by every compute thread, each with its number.
  bool compute_forward(ggml_compute_params* params, ggml_tensor* op) override;
};

// MUL_MAT_ID: each input meets the matrices of some experts.
class ExpertProductTraits final : public TileTraits {
 public:
  using TileTraits::TileTraits;

  bool Suits(const ggml_tensor* op) const;
  bool work_size(int n_threads, const ggml_tensor* op, size_t& size) override;
  bool compute_forward(ggml_compute_params* params, ggml_tensor* op) override;
};
