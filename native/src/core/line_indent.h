// The lines of a growing text that are indented less than the first one allows. Pure; engine
// thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

class LineIndent {
 public:
  // Every line behind the first must begin with `n_min` blanks or tabs; 0 allows every line.
  explicit LineIndent(int32_t n_min) : n_min_(n_min) {}

  // Appends `text`. Returns the length of the part of it that may stay: it ends behind the blanks
  // of a line that is indented less. An empty line is one, too.
  size_t Push(std::string_view text) {
    if (n_min_ == 0) return text.size();
    for (size_t i = 0; i < text.size(); ++i) {
      const char byte = text[i];
      if (is_beginning_) {
        if (byte == ' ' || byte == '\t') {
          ++n_indent_;
          continue;
        }
        if (n_indent_ < n_min_) return i;
        is_beginning_ = false;
      }
      if (byte != '\n') continue;
      is_beginning_ = true;
      n_indent_ = 0;
    }
    return text.size();
  }

 private:
  int32_t n_min_;
  int32_t n_indent_ = 0;
  // The text so far ends with a line break and blanks.
  bool is_beginning_ = false;
};
