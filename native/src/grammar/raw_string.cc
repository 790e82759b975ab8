#include "grammar/raw_string.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <initializer_list>
#include <stdexcept>
#include <utility>
#include <vector>

namespace {

using Range = std::pair<uint32_t, uint32_t>;

// What the second character of a JSON escape stands for.
constexpr std::array<std::pair<uint32_t, uint32_t>, 7> kEscapes = {
    {{'"', '"'}, {'\\', '\\'}, {'b', 8}, {'t', 9}, {'n', 10}, {'f', 12}, {'r', 13}}};

[[noreturn]] void Refuse() {
  throw std::invalid_argument("a pattern cannot be enforced in this model's chat format");
}

// Of the text's first character, ill-formed text aside.
uint32_t CodePoint(std::string_view text) {
  if (text.empty()) return 0;
  const auto lead = static_cast<unsigned char>(text[0]);
  const size_t n_more = lead < 0xc0 ? 0 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
  uint32_t code = n_more == 0 ? lead : lead & (0x3fU >> n_more);
  for (size_t i = 1; i <= n_more && i < text.size(); ++i) {
    code = code << 6 | (static_cast<unsigned char>(text[i]) & 0x3fU);
  }
  return code;
}

// Reads a pattern from the left.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  bool done() const { return at_ == text_.size(); }
  char next() const { return done() ? '\0' : text_[at_]; }
  char Take() { return done() ? '\0' : text_[at_++]; }

  // A class, from behind its bracket.
  std::vector<Range> TakeClass() {
    std::vector<Range> ranges;
    while (next() != ']') {
      const uint32_t low = TakeCode();
      uint32_t high = low;
      if (next() == '-') {
        Take();
        high = TakeCode();
      }
      ranges.emplace_back(low, high);
    }
    Take();
    return ranges;
  }

 private:
  // A letter, a digit, a backslash of two, or \U and eight digits.
  uint32_t TakeCode() {
    const char c = Take();
    if (c == '\0') Refuse();
    if (c != '\\') return static_cast<unsigned char>(c);
    const char kind = Take();
    if (kind == '\\') return '\\';
    constexpr size_t kDigits = 8;
    if (kind != 'U' || text_.size() - at_ < kDigits) Refuse();
    uint32_t code = 0;
    for (size_t i = 0; i < kDigits; ++i) {
      constexpr std::string_view kHex = "0123456789abcdef";
      const size_t digit = kHex.find(Take());
      if (digit == kHex.npos) Refuse();
      code = code << 4 | static_cast<uint32_t>(digit);
    }
    return code;
  }

  std::string_view text_;
  size_t at_ = 0;
};

std::string ClassOf(const std::vector<Range>& ranges) {
  std::string text = "[";
  for (const auto& [low, high] : ranges) {
    std::array<char, 24> part;
    const int length = low == high
                           ? std::snprintf(part.data(), part.size(), "\\U%08x", low)
                           : std::snprintf(part.data(), part.size(), "\\U%08x-\\U%08x", low, high);
    text.append(part.data(), static_cast<size_t>(length));
  }
  return text + "]";
}

std::string NoneOf(std::initializer_list<uint32_t> codes) {
  std::vector<Range> ranges;
  for (const uint32_t code : codes) ranges.emplace_back(code, code);
  return "[^" + ClassOf(ranges).substr(1);
}

std::vector<Range> Without(uint32_t code, const std::vector<Range>& ranges) {
  std::vector<Range> rest;
  for (const auto& [low, high] : ranges) {
    if (code < low || code > high) {
      rest.emplace_back(low, high);
      continue;
    }
    if (low < code) rest.emplace_back(low, code - 1);
    if (code < high) rest.emplace_back(code + 1, high);
  }
  return rest;
}

bool IsOne(const std::vector<Range>& ranges, uint32_t code) {
  return ranges.size() == 1 && ranges[0] == Range{code, code};
}

std::string Utf8(uint32_t code) {
  if (code < 0x80) return std::string(1, static_cast<char>(code));
  std::string text;
  const int n_more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
  text += static_cast<char>((0xff00U >> (n_more + 1) & 0xffU) | code >> 6 * n_more);
  for (int i = n_more; i-- > 0;) text += static_cast<char>(0x80U | (code >> 6 * i & 0x3fU));
  return text;
}

// The character of a class of one, as llama.cpp writes it.
std::string OnlyCharacter(std::string_view text) {
  if (!text.starts_with('\\') || text.size() < 2) return std::string(text);
  switch (text[1]) {
    case 'n':
      return "\n";
    case 'r':
      return "\r";
    case 't':
      return "\t";
    case 'x':
    case 'u':
    case 'U':
      return Utf8(static_cast<uint32_t>(std::stoul(std::string(text.substr(2)), nullptr, 16)));
    default:
      return std::string(text.substr(1));
  }
}

}  // namespace

std::string RawStringRule(std::string_view pattern, std::string_view closing, GrammarRules* rules) {
  if (pattern.size() < 2 || !pattern.starts_with('^') || !pattern.ends_with('$')) Refuse();
  const uint32_t excluded = CodePoint(closing);
  // What is written so far of each open group.
  std::vector<std::string> open = {""};
  for (Reader reader(pattern.substr(1, pattern.size() - 2)); !reader.done();) {
    const char c = reader.Take();
    constexpr std::string_view kSame = "|*+?{},0123456789";
    if (kSame.find(c) != kSame.npos) {
      open.back() += c;
      continue;
    }
    if (c == '(') {
      open.emplace_back();
      continue;
    }
    if (c == ')') {
      const std::string group = std::move(open.back());
      open.pop_back();
      if (open.empty()) Refuse();
      // llama.cpp multiplies the rules within a repeated group with its repetitions, and refuses
      // many: a name is one.
      const bool is_named =
          std::string_view("*+?{").find(reader.next()) != std::string_view::npos &&
          group.find_first_of("({") != group.npos;
      open.back() += is_named ? Concat({" ", rules->AddRule(group)}) : Concat({"(", group, ")"});
      continue;
    }
    if (c != '[') Refuse();
    std::vector<Range> ranges = reader.TakeClass();
    if (IsOne(ranges, '\\') && reader.next() == '[') {
      reader.Take();
      const std::vector<Range> escape = reader.TakeClass();
      const auto known = std::find_if(kEscapes.begin(), kEscapes.end(),
                                      [&](const auto& each) { return IsOne(escape, each.first); });
      if (known == kEscapes.end()) Refuse();
      ranges = {{known->second, known->second}};
    } else if (std::vector<Range> rest = Without(excluded, ranges); !rest.empty()) {
      ranges = std::move(rest);
    }
    open.back() += ClassOf(ranges);
  }
  if (open.size() > 1) Refuse();
  return open.back().empty() ? "\"\"" : open.back();
}

// A text is a row of characters that do not begin the mark, and of beginnings of the mark that the
// next character breaks. The first character may be repeated: `a << b` is common.
std::string TextWithout(std::string_view mark, size_t min) {
  std::vector<uint32_t> codes;
  for (size_t i = 0; i < mark.size(); ++i) {
    const bool begins = (static_cast<unsigned char>(mark[i]) & 0xc0U) != 0x80;
    if (begins) codes.push_back(CodePoint(mark.substr(i)));
  }
  const uint32_t first = codes[0];
  // What breaks the mark behind its first characters, from the longest beginning to the shortest.
  std::string breaks;
  for (size_t i = codes.size() - 1; i > 0; --i) {
    const std::string other = NoneOf({first, codes[i]});
    const bool goes_on = !breaks.empty() && codes[i] != first;
    breaks = goes_on
                 ? Concat({"(", other, " | ", ClassOf({{codes[i], codes[i]}}), " ", breaks, ")"})
                 : other;
  }
  const std::string mark_begins = ClassOf({{first, first}});
  std::string unit = NoneOf({first});
  if (!breaks.empty()) unit = Concat({"(", unit, " | ", mark_begins, "+ ", breaks, ")"});
  // Nothing but the mark's own first character may stand before it.
  const std::string tail = codes.size() > 1 ? Concat({" ", mark_begins, "*"}) : "";
  return Concat({unit, "{", std::to_string(min), ",}", tail});
}

std::string ClosingMark(const GrammarRules& rules, const std::string& name) {
  std::string mark;
  // A state leads to the next one, or to the end, with one character of the mark.
  for (int state = 0;; ++state) {
    std::array<char, 16> index;
    std::snprintf(index.data(), index.size(), "-%02d", state);
    const std::string* rule = rules.Find(state == 0 ? name : name + index.data());
    std::snprintf(index.data(), index.size(), "-%02d", state + 1);
    const std::string next = Concat({"] ", name, index.data()});
    std::string_view rest = rule == nullptr ? std::string_view() : *rule;
    std::string_view step;
    bool is_last = false;
    while (!rest.empty() && step.empty()) {
      const std::string_view choice = rest.substr(0, rest.find(" | "));
      rest.remove_prefix(std::min(rest.size(), choice.size() + 3));
      is_last = choice.ends_with(']');
      if (choice.starts_with('[') && !choice.starts_with("[^") &&
          (is_last || choice.ends_with(next))) {
        step = choice.substr(1, choice.size() - (is_last ? 2 : next.size() + 1));
      }
    }
    if (step.empty()) return "";
    mark += OnlyCharacter(step);
    if (is_last) return mark;
  }
}
