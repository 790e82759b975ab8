#include "core/top_candidates.h"

#include <doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

namespace {

constexpr float kNone = -std::numeric_limits<float>::infinity();

// The same by sorting all.
std::vector<int32_t> Expected(const std::vector<float>& logits, int32_t k) {
  std::vector<int32_t> tokens;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (logits[i] > kNone) tokens.push_back(static_cast<int32_t>(i));
  }
  std::stable_sort(tokens.begin(), tokens.end(),
                   [&](int32_t a, int32_t b) { return logits[a] > logits[b]; });
  tokens.resize(std::min(tokens.size(), static_cast<size_t>(k)));
  return tokens;
}

std::vector<int32_t> Found(TopCandidates* top, const std::vector<float>& logits, int32_t k) {
  std::vector<int32_t> tokens;
  for (const auto& candidate : top->Find(logits, k)) {
    CHECK(candidate.logit == logits[candidate.token]);
    tokens.push_back(candidate.token);
  }
  return tokens;
}

}  // namespace

TEST_CASE("the likeliest tokens are the same as by sorting all of them") {
  std::mt19937 random(1);
  TopCandidates top;
  for (int round = 0; round < 400; ++round) {
    std::vector<float> logits(1 + random() % 5000);
    // Few values make many equal ones.
    const bool coarse = round % 3 == 0;
    std::normal_distribution<float> normal(0, 4);
    for (float& logit : logits) logit = coarse ? std::round(normal(random)) : normal(random);
    for (float& logit : logits) {
      if (random() % 20 == 0) logit = kNone;
      if (round % 5 == 0 && random() % 50 == 0) logit = NAN;
    }
    const auto k = static_cast<int32_t>(1 + random() % 200);
    CHECK(Found(&top, logits, k) == Expected(logits, k));
  }
}

TEST_CASE("the likeliest token is found wherever it stands") {
  TopCandidates top;
  for (size_t at = 0; at < 200; ++at) {
    std::vector<float> logits(200, -1);
    logits[at] = 1;
    CHECK(Found(&top, logits, 1) == std::vector<int32_t>{static_cast<int32_t>(at)});
  }
}

TEST_CASE("where there is nothing to choose, nothing is found") {
  TopCandidates top;
  CHECK(top.Find({}, 5).empty());
  CHECK(top.Find(std::vector<float>(1000, kNone), 5).empty());
  CHECK(top.Find(std::vector<float>(1000, NAN), 5).empty());
  CHECK(Found(&top, {kNone, 3, kNone}, 5) == std::vector<int32_t>{1});
}
