// What a request adds to its model's rules about tokens: which ones end the completion, and which
// ones may not follow. Pure; one object belongs to one sequence.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

// All tokens are below the size of the vocabulary.
struct TokenRuleOptions {
  // These end the completion, like the end tokens of the model.
  std::vector<int32_t> stop_tokens = {};
  // So many tokens come before an end token or a stop string may end the completion.
  int32_t min_tokens = 0;
  // Only these may follow; empty for all. An end token that is not among them never comes.
  std::vector<int32_t> allowed_tokens = {};
  // Sequences of one token or more, of which none is ever completed.
  std::vector<std::vector<int32_t>> bad_words = {};
};

class TokenRules {
 public:
  // `model_ends` are the end tokens of the model.
  TokenRules(TokenRuleOptions options, std::span<const int32_t> model_ends);

  // True if every token may always follow.
  bool is_empty() const {
    return options_.min_tokens == 0 && options_.allowed_tokens.empty() &&
           options_.bad_words.empty();
  }

  // Sets the logits of the tokens that may not follow to minus infinity. `row` has one logit for
  // each token of the vocabulary.
  void Mask(std::span<float> row);

  // Takes back that it is too early for an end token, for where nothing else may follow. `row` is
  // the one that Mask changed last. False if it was not too early.
  bool AllowEnds(std::span<float> row);

  // `token` was sampled.
  void Accept(int32_t token);

 private:
  // True if the tokens before the last one of `word` are those that were sampled last.
  bool IsNearlyComplete(std::span<const int32_t> word) const;

  TokenRuleOptions options_;
  // The end tokens of the model and of the request.
  std::vector<int32_t> ends_;
  int32_t n_sampled_ = 0;
  // The tokens sampled last, as many as a bad word may need.
  std::vector<int32_t> recent_;
  size_t max_recent_ = 0;
  // Logits that Mask puts aside: of the allowed tokens, and of `ends_` while it is too early for
  // them.
  std::vector<float> kept_;
  std::vector<float> ends_kept_;
};
