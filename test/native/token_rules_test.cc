#include "core/token_rules.h"

#include <doctest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace {

constexpr int32_t kVocabulary = 6;
constexpr int32_t kEnd = 5;
const std::vector<int32_t> kModelEnds = {kEnd};

std::vector<float> Row() { return {0, 1, 2, 3, 4, 5}; }

// The tokens that may follow.
std::vector<int32_t> Left(const std::vector<float>& row) {
  std::vector<int32_t> left;
  for (int32_t token = 0; token < kVocabulary; ++token) {
    if (row[size_t(token)] == float(token)) left.push_back(token);
  }
  return left;
}

std::vector<int32_t> Allowed(TokenRules* rules) {
  std::vector<float> row = Row();
  rules->Mask(row);
  return Left(row);
}

using Tokens = std::vector<int32_t>;

}  // namespace

TEST_CASE("rules without an effect on what follows are empty") {
  CHECK(TokenRules({}, kModelEnds).is_empty());
  CHECK(TokenRules({.stop_tokens = {1}}, kModelEnds).is_empty());
  CHECK_FALSE(TokenRules({.min_tokens = 1}, kModelEnds).is_empty());
  CHECK_FALSE(TokenRules({.allowed_tokens = {1}}, kModelEnds).is_empty());
  CHECK_FALSE(TokenRules({.bad_words = {{1}}}, kModelEnds).is_empty());
}

TEST_CASE("only allowed tokens are left, each with its logit, even if it is named twice") {
  TokenRules rules({.allowed_tokens = {4, 1, 4}}, kModelEnds);
  CHECK(Allowed(&rules) == Tokens{1, 4});
}

TEST_CASE("no end token comes before the minimum, neither the model's nor the request's") {
  TokenRules rules({.stop_tokens = {2, kEnd}, .min_tokens = 2}, kModelEnds);
  CHECK(Allowed(&rules) == Tokens{0, 1, 3, 4});
  rules.Accept(1);
  CHECK(Allowed(&rules) == Tokens{0, 1, 3, 4});
  rules.Accept(1);
  CHECK(Allowed(&rules) == Tokens{0, 1, 2, 3, 4, 5});
}

TEST_CASE("an end token may come too early where it is allowed in the first place") {
  TokenRules rules({.stop_tokens = {2}, .min_tokens = 9, .allowed_tokens = {kEnd, 3}}, kModelEnds);
  std::vector<float> row = Row();
  rules.Mask(row);
  CHECK(Left(row) == Tokens{3});
  CHECK(rules.AllowEnds(row));
  CHECK(Left(row) == Tokens{3, kEnd});
  CHECK_FALSE(rules.AllowEnds(row));
  TokenRules late({.min_tokens = 1}, kModelEnds);
  late.Accept(0);
  row = Row();
  late.Mask(row);
  CHECK_FALSE(late.AllowEnds(row));
}

TEST_CASE("the last token of a bad word may not follow the others") {
  TokenRules rules({.bad_words = {{3}, {0, 1, 2}}}, kModelEnds);
  CHECK(Allowed(&rules) == Tokens{0, 1, 2, 4, 5});
  rules.Accept(0);
  rules.Accept(0);
  rules.Accept(1);
  CHECK(Allowed(&rules) == Tokens{0, 1, 4, 5});
  rules.Accept(4);
  CHECK(Allowed(&rules) == Tokens{0, 1, 2, 4, 5});
}

TEST_CASE("random completions never hold a bad word and always keep the minimum") {
  std::mt19937 random(11);
  for (int round = 0; round < 500; ++round) {
    TokenRuleOptions options{.min_tokens = int32_t(random() % 8)};
    for (size_t n = random() % 4; n > 0; --n) {
      Tokens word(1 + random() % 3);
      for (int32_t& token : word) token = int32_t(random() % kVocabulary);
      options.bad_words.push_back(word);
    }
    TokenRules rules(options, kModelEnds);
    Tokens completion;
    while (completion.size() < 40) {
      const Tokens left = Allowed(&rules);
      if (left.empty()) break;
      completion.push_back(left[random() % left.size()]);
      rules.Accept(completion.back());
      if (completion.back() == kEnd) break;
    }
    const size_t n_text =
        completion.empty() || completion.back() != kEnd ? completion.size() : completion.size() - 1;
    if (n_text < completion.size()) REQUIRE(n_text >= size_t(options.min_tokens));
    for (const Tokens& word : options.bad_words) {
      REQUIRE(std::search(completion.begin(), completion.end(), word.begin(), word.end()) ==
              completion.end());
    }
  }
}
