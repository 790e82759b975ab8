// Keeps what users write from becoming control tokens: "<|im_end|>" in a message must not end it.
//
// Control texts in a request get a mark inside before the template renders it. The prompt is then
// tokenized in the pieces between the marks: none of them holds a whole control text of the user,
// while control texts of the template are whole.
#pragma once

#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

class ControlTexts {
 public:
  // `texts` are the texts of the vocabulary's control tokens. A text of one character cannot be
  // marked and is ignored.
  explicit ControlTexts(const std::vector<std::string>& texts);

  struct Marked {
    std::string text;
    // A code point that occurs nowhere else in `text`; empty when there was nothing to mark.
    std::string mark;
  };

  // Throws std::invalid_argument when every code point that may be a mark occurs in `text`.
  Marked Mark(std::string text) const;

 private:
  // Bytes of the control text that begins at `position`, 0 for none.
  size_t LengthAt(std::string_view text, size_t position) const;

  std::unordered_set<std::string> texts_;
  // Of `texts_`, each once, ascending.
  std::vector<size_t> lengths_;
  bool begins_text_[256] = {};
};

// `text` without marks.
std::string WithoutMarks(const std::string& text, const std::string& mark);

// What lies between the marks; `text` alone where there is no mark.
std::vector<std::string_view> PiecesBetweenMarks(std::string_view text, const std::string& mark);
