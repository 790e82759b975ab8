// Counts the reasoning tokens of a completion: all up to the mark that ends the reasoning, marks
// included. Works on the text, since a mark need not be one token.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

class ReasoningCounter {
 public:
  // Counts nothing.
  ReasoningCounter() = default;

  // `start` and `ends` are the marks around reasoning (such as "<think>" and "</think>"), `opening`
  // is the end of the prompt, which may contain the start mark already. Without marks nothing is
  // counted.
  ReasoningCounter(std::string start, std::vector<std::string> ends, std::string_view opening);

  // The text of the next token of the completion; may be empty.
  void Push(std::string_view piece);

  int32_t n_tokens() const { return n_tokens_; }

  // True while the text is reasoning.
  bool is_inside() const { return state_ == State::kInside; }

  // Bytes of the longest mark that ends the reasoning.
  size_t max_end_size() const;

 private:
  enum class State { kBefore, kInside, kAfter };

  void PushInside(std::string_view piece);

  State state_ = State::kAfter;
  std::string start_;
  std::vector<std::string> ends_;
  // Before: all text. Inside: the end of it, as much as may be the beginning of an end mark.
  std::string text_;
  int32_t n_before_ = 0;
  int32_t n_tokens_ = 0;
};
