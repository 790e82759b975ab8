#include "core/control_text.h"

#include <algorithm>
#include <set>
#include <stdexcept>

namespace {

// Noncharacters: valid UTF-8, never part of a text that was meant to be read.
constexpr int kFirstMark = 0xFDD0;
constexpr int kLastMark = 0xFDEF;

std::string Encode(int code_point) {
  return {static_cast<char>(0xE0 | code_point >> 12),
          static_cast<char>(0x80 | (code_point >> 6 & 0x3F)),
          static_cast<char>(0x80 | (code_point & 0x3F))};
}

std::string UnusedMark(const std::string& text) {
  for (int code_point = kFirstMark; code_point <= kLastMark; ++code_point) {
    std::string mark = Encode(code_point);
    if (text.find(mark) == std::string::npos) return mark;
  }
  throw std::invalid_argument("the text uses all noncharacters from U+FDD0 to U+FDEF");
}

// Bytes of the character that begins with `lead`.
size_t CharacterLength(unsigned char lead) {
  return lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
}

}  // namespace

ControlTexts::ControlTexts(const std::vector<std::string>& texts) {
  std::set<size_t> lengths;
  for (const std::string& text : texts) {
    if (text.empty() || text.size() <= CharacterLength(text[0])) continue;
    texts_.insert(text);
    lengths.insert(text.size());
    begins_text_[static_cast<unsigned char>(text[0])] = true;
  }
  lengths_.assign(lengths.begin(), lengths.end());
}

size_t ControlTexts::LengthAt(std::string_view text, size_t position) const {
  if (!begins_text_[static_cast<unsigned char>(text[position])]) return 0;
  for (const size_t length : lengths_) {
    if (position + length > text.size()) break;
    if (texts_.contains(std::string(text.substr(position, length)))) return length;
  }
  return 0;
}

ControlTexts::Marked ControlTexts::Mark(std::string text) const {
  Marked marked;
  size_t copied = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (LengthAt(text, i) == 0) continue;
    if (marked.mark.empty()) marked.mark = UnusedMark(text);
    const size_t split = i + CharacterLength(text[i]);
    marked.text.append(text, copied, split - copied).append(marked.mark);
    copied = split;
  }
  if (marked.mark.empty()) {
    marked.text = std::move(text);
  } else {
    marked.text.append(text, copied);
  }
  return marked;
}

std::string WithoutMarks(const std::string& text, const std::string& mark) {
  std::string result;
  for (const std::string_view piece : PiecesBetweenMarks(text, mark)) result += piece;
  return result;
}

std::vector<std::string_view> PiecesBetweenMarks(std::string_view text, const std::string& mark) {
  std::vector<std::string_view> pieces;
  while (!mark.empty()) {
    const size_t found = text.find(mark);
    if (found == text.npos) break;
    pieces.push_back(text.substr(0, found));
    text.remove_prefix(found + mark.size());
  }
  pieces.push_back(text);
  return pieces;
}
