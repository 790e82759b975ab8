// Predicts whether the request that ends a rest comes alone, from the rests before. Waiting for
// requests that arrive with it saves all of them a prefill in small pieces beside decoding; waiting
// in vain delays a first token. Pure: no clock.
#pragma once

#include <chrono>
#include <cstdint>

class BurstPredictor {
 public:
  // Requests form a burst if less than `gap` passes between them.
  explicit BurstPredictor(std::chrono::microseconds gap) : gap_(gap) {}

  // How long to wait for the next request: 0 if none is expected.
  std::chrono::microseconds quiet() const { return n_alone_ < kMaxAlone ? gap_ : kNone; }

  // A rest has ended with `n_requests` requests, gathered as quiet() says.
  void OnRestEnded(int32_t n_requests);

  // A request arrived `after` the one before, which was being computed.
  void OnArrival(std::chrono::steady_clock::duration after);

 private:
  static constexpr std::chrono::microseconds kNone{0};
  // After this many consecutive rests that ended with one request, one request is expected.
  static constexpr int32_t kMaxAlone = 3;

  const std::chrono::microseconds gap_;
  int32_t n_alone_ = 0;
};
