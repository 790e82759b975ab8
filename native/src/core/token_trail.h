// The tokens behind a growing text, handed out with the part of it that shows them. Pure; engine
// thread.
#pragma once

#include <cstdint>
#include <deque>
#include <string_view>
#include <utility>
#include <vector>

#include "core/logprobs.h"
#include "core/utf8_stream.h"

class TokenTrail {
 public:
  // `token` continues the text behind its first `n_characters`, of which the last may not be shown
  // yet.
  void Add(TokenLogprob token, int32_t n_characters) {
    token.first_character = n_characters;
    waiting_.push_back(std::move(token));
  }

  // `text` was shown. Returns the tokens whose first character is in it, in order: no token of text
  // that is held back or was cut away.
  std::vector<TokenLogprob> Show(std::string_view text) {
    n_shown_ += CountCharacters(text);
    std::vector<TokenLogprob> tokens;
    while (!waiting_.empty() && waiting_.front().first_character < n_shown_) {
      tokens.push_back(std::move(waiting_.front()));
      waiting_.pop_front();
    }
    return tokens;
  }

 private:
  std::deque<TokenLogprob> waiting_;
  int32_t n_shown_ = 0;
};
