// Finds the text of a reply from which on it is a call, such as the mark of a tool call. Looks at
// the end of the text alone: a search of all of it, token by token, would take a time that grows
// with the square of its length, and std::regex takes stack for each character.
#pragma once

#include <cstddef>
#include <regex>
#include <string>
#include <string_view>
#include <vector>

class TriggerFinder {
 public:
  // Characters at the end of the text that are searched, beside those of the newest piece. A
  // pattern that is anchored at both ends is tried while the whole text has no more.
  static constexpr size_t kWindow = 256;

  TriggerFinder() = default;

  // `words` are texts, `patterns` regular expressions of ECMAScript. Throws std::regex_error.
  TriggerFinder(std::vector<std::string> words, const std::vector<std::string>& patterns);

  // Adds the next piece of the text. True if a word or a pattern is found.
  bool Push(std::string_view piece);

  // Begins a new text.
  void Clear();

 private:
  struct Pattern {
    std::regex regex;
    // True for one that is anchored at both ends.
    bool is_whole = false;
  };

  std::vector<std::string> words_;
  std::vector<Pattern> patterns_;
  // The end of the text, and whether it is all of it.
  std::string tail_;
  bool is_all_ = true;
};
