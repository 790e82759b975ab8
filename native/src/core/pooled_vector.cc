#include "core/pooled_vector.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

void PooledVector::Add(std::span<const float> pooled, int32_t n_tokens) {
  const bool is_first = values_.empty();
  n_tokens_ += n_tokens;
  if (is_first || pooling_ == Pooling::kLast || pooling_ == Pooling::kRank) {
    values_.assign(pooled.begin(), pooled.end());
  } else if (pooling_ == Pooling::kMean) {
    // The mean of all tokens so far moves towards the piece's mean by the piece's share of them.
    const float share = static_cast<float>(n_tokens) / static_cast<float>(n_tokens_);
    for (size_t i = 0; i < values_.size(); ++i) values_[i] += (pooled[i] - values_[i]) * share;
  }
}

bool NormaliseInto(std::span<const float> values, std::span<float> target) {
  const std::span<const float> used = values.first(target.size());
  double squares = 0;
  for (const float value : used) squares += static_cast<double>(value) * value;
  if (!std::isfinite(squares)) return false;
  const double scale = squares > 0 ? 1 / std::sqrt(squares) : 0;
  std::ranges::transform(used, target.begin(),
                         [scale](float value) { return static_cast<float>(value * scale); });
  return true;
}
