#include "core/burst_guess.h"

#include <algorithm>

void BurstGuess::Began(int32_t n_requests) {
  if (n_requests > 1) {
    n_alone_ = 0;
  } else if (n_requests == 1) {
    n_alone_ = std::min(n_alone_ + 1, kBelieved);
  }
}

void BurstGuess::Came(std::chrono::steady_clock::duration after) {
  if (after < apart_) n_alone_ = 0;
}
