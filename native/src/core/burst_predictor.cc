#include "core/burst_predictor.h"

#include <algorithm>

void BurstPredictor::OnRestEnded(int32_t n_requests) {
  if (n_requests > 1) {
    n_alone_ = 0;
  } else if (n_requests == 1) {
    n_alone_ = std::min(n_alone_ + 1, kMaxAlone);
  }
}

void BurstPredictor::OnArrival(std::chrono::steady_clock::duration after) {
  if (after < gap_) n_alone_ = 0;
}
