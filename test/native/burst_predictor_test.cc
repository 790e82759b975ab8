#include "core/burst_predictor.h"

#include <doctest.h>

using namespace std::chrono_literals;

TEST_CASE("a burst is expected until three requests in a row came alone") {
  BurstPredictor predictor(3000us);
  for (int i = 0; i < 3; ++i) {
    CHECK(predictor.quiet() == 3000us);
    predictor.OnRestEnded(1);
  }
  CHECK(predictor.quiet() == 0us);
  predictor.OnRestEnded(1);
  CHECK(predictor.quiet() == 0us);
}

TEST_CASE("a burst is expected as soon as one request arrives right after another") {
  BurstPredictor predictor(3000us);
  for (int i = 0; i < 5; ++i) predictor.OnRestEnded(1);
  predictor.OnArrival(10ms);
  CHECK(predictor.quiet() == 0us);
  predictor.OnArrival(2ms);
  CHECK(predictor.quiet() == 3000us);
}

TEST_CASE(
    "a burst is expected after a rest that ended with several requests, not after one that ended "
    "with none") {
  BurstPredictor predictor(3000us);
  for (int i = 0; i < 5; ++i) predictor.OnRestEnded(1);
  predictor.OnRestEnded(0);
  CHECK(predictor.quiet() == 0us);
  predictor.OnRestEnded(2);
  CHECK(predictor.quiet() == 3000us);
}
