#include "grammar/written_rules.h"

#include <map>
#include <string_view>

#include "grammar/grammar_rules.h"

namespace {

// Equal to `writtenKey` of src/grammar/written.ts: a character for private use before a word.
constexpr const char* kWrittenKey = "\xef\xa3\xbfgbnf";

// How the literal of such a constant begins.
const std::string kOpening = Concat({R"("{\")", kWrittenKey, R"(\":)"});

// The text of a literal of a grammar, from behind its first quote; moves `at` behind the last one.
std::string TakeLiteral(std::string_view grammar, size_t* at) {
  std::string text;
  for (; *at < grammar.size() && grammar[*at] != '"'; ++*at) {
    char c = grammar[*at];
    if (c == '\\' && *at + 1 < grammar.size()) {
      c = grammar[++*at];
      if (c == 'n') c = '\n';
      if (c == 'r') c = '\r';
    }
    text += c;
  }
  ++*at;
  return text;
}

}  // namespace

bool IsWritten(const common_json& schema) {
  return schema.contains("const") && schema.at("const").is_object() &&
         schema.at("const").contains(kWrittenKey);
}

bool HasConst(const common_json& schema) { return schema.contains("const") && !IsWritten(schema); }

common_json WrittenSchema(const std::string& grammar) {
  return {{"const", {{kWrittenKey, grammar}}}};
}

std::string WithoutSpaceBehindWritten(const std::string& grammar) {
  constexpr std::string_view kSpace = " space";
  std::string strict = grammar;
  for (size_t at = strict.find(kOpening); at != std::string::npos; at = strict.find(kOpening, at)) {
    ++at;
    TakeLiteral(strict, &at);
    if (std::string_view(strict).substr(at).starts_with(kSpace)) strict.erase(at, kSpace.size());
  }
  return strict;
}

std::string WithWrittenRules(const std::string& grammar) {
  std::string strict;
  std::string rules;
  std::map<std::string, std::string> roots;
  size_t end = 0;
  for (size_t at = grammar.find(kOpening); at != std::string::npos;
       at = grammar.find(kOpening, end)) {
    strict.append(grammar, end, at - end);
    end = at + 1;
    const std::string constant = TakeLiteral(grammar, &end);
    const auto [root, is_new] = roots.try_emplace(constant);
    if (is_new) {
      const std::string prefix = Concat({"written-", std::to_string(roots.size()), "-"});
      root->second = prefix + "root";
      const std::string text = common_json::parse(constant).at(kWrittenKey).get<std::string>();
      rules += Concat({WithPrefix(text, prefix), "\n"});
    }
    strict += root->second;
  }
  if (roots.empty()) return grammar;
  strict.append(grammar, end, std::string::npos);
  if (!strict.ends_with('\n')) strict += '\n';
  return strict + rules;
}
