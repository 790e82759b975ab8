// Log probabilities of tokens: the logarithm of the softmax over one row of logits. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

class Logprobs {
 public:
  // Reads a row of logits, one for each token of the vocabulary, and keeps the `n_top` likeliest.
  // The row must stay as long as `Of` is called. Throws std::runtime_error for a row with NaN or
  // +infinity, or with nothing above -infinity.
  Logprobs(std::span<const float> logits, int32_t n_top);

  // At most 0; -infinity for a token that the model excludes.
  float Of(int32_t token) const;
  // 1 for the likeliest token, and 1 more for each token that is likelier than `token`.
  int32_t RankOf(int32_t token) const;

  struct Candidate {
    int32_t token = 0;
    float logprob = 0;
  };
  // The likeliest first; of equal ones, the lower token.
  const std::vector<Candidate>& top() const { return top_; }

 private:
  std::span<const float> logits_;
  // Logarithm of the sum of all exponentials.
  double log_total_ = 0;
  std::vector<Candidate> top_;
};

// An alternative token, its bytes and its log probability.
struct PieceLogprob {
  int32_t token = 0;
  std::string bytes = {};
  float logprob = 0;
};

// One token of a text, with log probabilities.
struct TokenLogprob {
  int32_t token = 0;
  std::string bytes = {};
  // None for the first token of a prompt, which has no context.
  std::optional<float> logprob = {};
  // Only of tokens of a prompt.
  std::optional<int32_t> rank = {};
  // The likeliest tokens at its position, the likeliest first.
  std::vector<PieceLogprob> top = {};
  // Characters (code points) of the text before it; for a token that only ends a character, the
  // number of characters before that one.
  int32_t first_character = 0;
};
