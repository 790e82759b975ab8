#include "core/logprobs.h"

#include <doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <stdexcept>

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

}  // namespace

TEST_CASE("the probabilities of all tokens sum to 1, whatever the size of the logits") {
  std::mt19937 random(1);
  for (const float scale : {1.0f, 30.0f, 1e4f}) {
    std::normal_distribution<float> values(-scale, scale);
    std::vector<float> logits(5000);
    for (float& logit : logits) logit = values(random);
    const Logprobs logprobs(logits, 0);
    double total = 0;
    for (int32_t token = 0; token < 5000; ++token) {
      CHECK(logprobs.Of(token) <= 0);
      total += std::exp(double{logprobs.Of(token)});
    }
    CHECK(total == doctest::Approx(1.0).epsilon(1e-4));
  }
}

TEST_CASE("a row that can be computed by hand") {
  const std::vector<float> logits{std::log(1.0f), std::log(2.0f), std::log(5.0f), -kInfinity};
  const Logprobs logprobs(logits, 4);
  CHECK(logprobs.Of(0) == doctest::Approx(std::log(1.0 / 8)));
  CHECK(logprobs.Of(2) == doctest::Approx(std::log(5.0 / 8)));
  CHECK(logprobs.Of(3) == -kInfinity);
  REQUIRE(logprobs.top().size() == 4);
  CHECK(logprobs.top()[0].token == 2);
  CHECK(logprobs.top()[0].logprob == logprobs.Of(2));
  CHECK(logprobs.top()[3].token == 3);
}

TEST_CASE("the likeliest come in order, equal ones by their number") {
  std::mt19937 random(2);
  std::vector<float> logits(3000);
  for (float& logit : logits) logit = static_cast<float>(random() % 200);
  const Logprobs logprobs(logits, 20);
  std::vector<int32_t> tokens(logits.size());
  for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<int32_t>(i);
  std::ranges::stable_sort(tokens, [&](int32_t a, int32_t b) { return logits[a] > logits[b]; });
  REQUIRE(logprobs.top().size() == 20);
  for (size_t i = 0; i < 20; ++i) CHECK(logprobs.top()[i].token == tokens[i]);
}

TEST_CASE("there are no more of the likeliest than tokens") {
  const std::vector<float> logits{1, 2};
  CHECK(Logprobs(logits, 20).top().size() == 2);
  CHECK(Logprobs(logits, 0).top().empty());
}

TEST_CASE("a row that says nothing is refused") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const std::vector<float>& logits :
       {std::vector<float>{nan, 1}, {1, nan}, {1, kInfinity}, {-kInfinity, -kInfinity}}) {
    CHECK_THROWS_AS(Logprobs(logits, 1), std::runtime_error);
  }
}

TEST_CASE("a rank counts the likelier tokens") {
  const std::vector<float> logits = {1, 3, 3, -INFINITY, 2};
  const Logprobs logprobs(logits, 0);
  CHECK(logprobs.RankOf(1) == 1);
  CHECK(logprobs.RankOf(2) == 1);
  CHECK(logprobs.RankOf(4) == 3);
  CHECK(logprobs.RankOf(0) == 4);
  CHECK(logprobs.RankOf(3) == 5);
}
