// The vector of one input, combined from the pooled vectors of its pieces. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

// How llama.cpp combines the vectors of all tokens into one.
enum class Pooling {
  kMean,
  // The first token's, the last token's.
  kCls,
  kLast,
  // The classification head's values.
  kRank,
};

class PooledVector {
 public:
  explicit PooledVector(Pooling pooling) : pooling_(pooling) {}

  // Adds the pooled vector of the next piece, which has `n_tokens` tokens. Pieces come in order,
  // and all vectors have one width.
  void Add(std::span<const float> pooled, int32_t n_tokens);

  // The pooled vector of all pieces; empty before the first.
  const std::vector<float>& values() const { return values_; }

 private:
  Pooling pooling_;
  int64_t n_tokens_ = 0;
  std::vector<float> values_;
};

// Copies as many of `values` as `target` has room for, scaled to a Euclidean norm of 1; zeros stay
// zeros. False when a value is infinite or no number. `target` is at most as long as `values`.
bool NormaliseInto(std::span<const float> values, std::span<float> target);
