// Whether a request that ends a rest comes alone, judged by how it was before. Waiting for others
// that come with it saves them, and it, a prefill in small pieces beside its decoding; waiting for
// nobody costs every first token. Policy only: no clock.
#pragma once

#include <chrono>
#include <cstdint>

class BurstGuess {
 public:
  // Requests that are less than `apart` from each other came together.
  explicit BurstGuess(std::chrono::microseconds apart) : apart_(apart) {}

  // How long to wait for the next request: nothing where none is expected.
  std::chrono::microseconds quiet() const { return n_alone_ < kBelieved ? apart_ : kNone; }

  // A rest has ended with so many requests, waited for as `quiet` said.
  void Began(int32_t n_requests);

  // A request came so long after the one before, while the engine was at work on that.
  void Came(std::chrono::steady_clock::duration after);

 private:
  static constexpr std::chrono::microseconds kNone{0};
  // Rests in a row that ended with one request, until that is expected.
  static constexpr int32_t kBelieved = 3;

  const std::chrono::microseconds apart_;
  int32_t n_alone_ = 0;
};
