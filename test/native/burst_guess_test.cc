#include "core/burst_guess.h"

#include <doctest.h>

using namespace std::chrono_literals;

TEST_CASE("others are expected until some requests in a row came alone") {
  BurstGuess guess(3000us);
  for (int i = 0; i < 3; ++i) {
    CHECK(guess.quiet() == 3000us);
    guess.Began(1);
  }
  CHECK(guess.quiet() == 0us);
  guess.Began(1);
  CHECK(guess.quiet() == 0us);
}

TEST_CASE("one that came right after another is believed at once") {
  BurstGuess guess(3000us);
  for (int i = 0; i < 5; ++i) guess.Began(1);
  guess.Came(10ms);
  CHECK(guess.quiet() == 0us);
  guess.Came(2ms);
  CHECK(guess.quiet() == 3000us);
}

TEST_CASE("several that were prepared together are, too; what ends nothing says nothing") {
  BurstGuess guess(3000us);
  for (int i = 0; i < 5; ++i) guess.Began(1);
  guess.Began(0);
  CHECK(guess.quiet() == 0us);
  guess.Began(2);
  CHECK(guess.quiet() == 3000us);
}
