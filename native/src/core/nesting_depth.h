// How deeply the brackets of a text nest: recursive readers of JSON need as much stack.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string_view>

class NestingDepth {
 public:
  // Counts brackets and braces, those in strings included: where strings begin depends on the
  // format of the text.
  void Push(std::string_view text) {
    for (const char c : text) {
      if (c == '[' || c == '{') {
        deepest_ = std::max(deepest_, ++open_);
      } else if ((c == ']' || c == '}') && open_ > 0) {
        --open_;
      }
    }
  }

  // The most brackets that were open at a time.
  size_t deepest() const { return deepest_; }

 private:
  size_t open_ = 0;
  size_t deepest_ = 0;
};
