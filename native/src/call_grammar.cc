#include "call_grammar.h"

#include <algorithm>
#include <string_view>
#include <vector>

namespace {

constexpr std::string_view kRoot = "root ::= ";
constexpr std::string_view kLaterRoot = "\nroot ::= ";

// The items of a sequence: separated by blanks that are in no group, literal or character class.
std::vector<std::string_view> Items(std::string_view sequence) {
  std::vector<std::string_view> items;
  size_t first = 0;
  int depth = 0;
  char closer = 0;
  for (size_t i = 0; i <= sequence.size(); ++i) {
    const bool is_end = i == sequence.size();
    const char c = is_end ? ' ' : sequence[i];
    if (closer != 0 && !is_end) {
      if (c == '\\') {
        ++i;
      } else if (c == closer) {
        closer = 0;
      }
    } else if (c == '"') {
      closer = '"';
    } else if (c == '[') {
      closer = ']';
    } else if (c == '(') {
      ++depth;
    } else if (c == ')') {
      --depth;
    } else if (c == ' ' && (depth == 0 || is_end)) {
      if (i > first) items.push_back(sequence.substr(first, i - first));
      first = i + 1;
    }
  }
  return items;
}

bool IsFreeText(std::string_view item) {
  constexpr std::string_view kUntil = "until-";
  if (!item.starts_with(kUntil)) return false;
  item.remove_prefix(kUntil.size());
  if (item.ends_with('?')) item.remove_suffix(1);
  return !item.empty() && item.find_first_not_of("0123456789") == item.npos;
}

}  // namespace

std::string CallAtOnce(const std::string& grammar, const std::string& thinking_mark) {
  size_t first = kRoot.size();
  if (!grammar.starts_with(kRoot)) {
    const size_t line = grammar.find(kLaterRoot);
    if (line == std::string::npos) return grammar;
    first = line + kLaterRoot.size();
  }
  const size_t end = std::min(grammar.find('\n', first), grammar.size());
  const std::string reasoning = std::string("(\"").append(thinking_mark).append("\"");

  std::string root;
  for (const std::string_view item : Items(std::string_view(grammar).substr(first, end - first))) {
    // Alternatives at the root are not the sequence this is about.
    if (item == "|") return grammar;
    if (IsFreeText(item)) continue;
    if (!thinking_mark.empty() && item.starts_with(reasoning) && item.ends_with(")?")) continue;
    root += root.empty() ? "" : " ";
    root += item;
  }
  return grammar.substr(0, first) + root + grammar.substr(end);
}

std::string SingleCall(const std::string& grammar) {
  constexpr std::string_view kCalls = "\ntool-calls ::= (";
  const size_t line = grammar.find(kCalls);
  if (line == std::string::npos) return grammar;
  const size_t group = line + kCalls.size() - 1;
  const size_t end = std::min(grammar.find('\n', group), grammar.size());
  const std::string_view repeated = std::string_view(grammar).substr(group, end - group);
  if (Items(repeated).size() != 1 || !repeated.ends_with(")+")) return grammar;
  std::string single = grammar;
  return single.erase(end - 1, 1);
}

std::string FiniteNumbers(const std::string& grammar) {
  // No literal of a schema can look like this: quotes in it are escaped.
  constexpr std::string_view kMantissa = R"(("-"? integral-part) ("." decimal-part)? )";
  constexpr std::string_view kExponent = "([eE] [-+]? integral-part)?";
  std::string finite = grammar;
  for (size_t at = finite.find(kMantissa); at != std::string::npos;
       at = finite.find(kMantissa, at + 1)) {
    const size_t exponent = at + kMantissa.size();
    if (finite.compare(exponent, kExponent.size(), kExponent) == 0) {
      finite.replace(exponent, kExponent.size(), "([eE] [-+]? [0-9] [0-9]?)?");
    }
  }
  return finite;
}
