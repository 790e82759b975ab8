#include "grammar/call_grammar.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "grammar/grammar_rules.h"

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
  std::string single = grammar;
  for (const std::string_view calls : {"\ntool-calls ::= (", "\ntools ::= ("}) {
    const size_t line = single.find(calls);
    if (line == std::string::npos) continue;
    const size_t group = line + calls.size() - 1;
    const size_t end = std::min(single.find('\n', group), single.size());
    const std::string_view repeated = std::string_view(single).substr(group, end - group);
    if (Items(repeated).size() == 1 && repeated.ends_with(")+")) single.erase(end - 1, 1);
  }
  // Kimi K3's calls stand between marks in one rule.
  constexpr std::string_view kRow = R"()+ "<|close|>tools<|sep|>")";
  if (const size_t at = single.find(kRow); at != std::string::npos) single.erase(at + 1, 1);
  return single;
}

std::string WithCallIds(const std::string& grammar) {
  constexpr std::string_view kAnyId = R"(("[CALL_ID]" until-)";
  std::string with_ids = grammar;
  for (size_t at = with_ids.find(kAnyId); at != std::string::npos; at = with_ids.find(kAnyId, at)) {
    const size_t end = with_ids.find(")?", at);
    if (end == std::string::npos) break;
    with_ids.replace(at, end + 2 - at, R"("[CALL_ID]" [0-9A-Za-z]{9})");
  }
  return with_ids;
}

std::string EitherGrammar(const std::string& one, const std::string& other) {
  return "root ::= one-root | other-root\n" + WithPrefix(one, "one-") + "\n" +
         WithPrefix(other, "other-");
}

std::string WithoutFence(const std::string& grammar) {
  constexpr std::string_view kOptional = R"("```json" space response-format space "```" | )";
  constexpr std::string_view kOpening = R"("```json" space )";
  constexpr std::string_view kClosing = R"( space "```")";
  std::string bare = grammar;
  if (const size_t at = bare.find(kOptional); at != std::string::npos) {
    bare.erase(at, kOptional.size());
  }
  if (const size_t at = bare.find(kOpening); at != std::string::npos) {
    const size_t closing = bare.find(kClosing, at);
    if (closing != std::string::npos) bare.erase(closing, kClosing.size());
    bare.erase(at, kOpening.size());
  }
  return bare;
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
