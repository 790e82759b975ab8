#include "grammar/grammar_rules.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace {

constexpr std::string_view kArrow = " ::= ";
// Characters of all rules that were set. Llama.cpp's own grammar of many large tools has less.
constexpr size_t kMaxCharacters = size_t{16} << 20;

}  // namespace

const std::string* GrammarRules::Find(const std::string& name) const {
  const auto found = bodies_.find(name);
  return found == bodies_.end() ? nullptr : &found->second;
}

void GrammarRules::Set(const std::string& name, std::string body) {
  n_set_ += name.size() + body.size();
  if (n_set_ > kMaxCharacters)
    throw std::invalid_argument("the schemas come to too large a grammar");
  const auto [rule, is_new] = bodies_.try_emplace(name);
  changes_.emplace_back(name, is_new ? std::nullopt : std::optional(std::move(rule->second)));
  rule->second = std::move(body);
}

void GrammarRules::Mark() { changes_.clear(); }

void GrammarRules::Revert() {
  for (; !changes_.empty(); changes_.pop_back()) {
    auto& [name, body] = changes_.back();
    if (body) {
      bodies_[name] = std::move(*body);
    } else {
      bodies_.erase(name);
    }
  }
}

std::string GrammarRules::NewName() { return Concat({"strict-", std::to_string(++n_names_)}); }

std::string GrammarRules::AddRule(std::string body) {
  std::string name = NewName();
  Set(name, std::move(body));
  return name;
}

std::string GrammarRules::AddGrammar(std::string_view grammar) {
  const std::string prefix = NewName() + "-";
  Add(WithPrefix(grammar, prefix));
  return prefix + "root";
}

std::string GrammarRules::text() const {
  std::string grammar;
  for (const auto& [name, body] : bodies_) {
    grammar.append(name).append(kArrow).append(body).append("\n");
  }
  return grammar;
}

void GrammarRules::Add(std::string_view grammar) {
  while (!grammar.empty()) {
    const std::string_view line = grammar.substr(0, grammar.find('\n'));
    grammar.remove_prefix(std::min(grammar.size(), line.size() + 1));
    const size_t arrow = line.find(kArrow);
    if (arrow == line.npos) continue;
    Set(std::string(line.substr(0, arrow)), std::string(line.substr(arrow + kArrow.size())));
  }
}

bool IsRuleLetter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
}

// Rules under other names: literals, character classes, tokens, counts and comments hold none.
std::string WithPrefix(std::string_view grammar, std::string_view prefix) {
  constexpr std::string_view kOpeners = "\"[<{#";
  constexpr std::string_view kClosers = "\"]>}\n";
  std::string renamed;
  for (size_t i = 0; i < grammar.size();) {
    const size_t opener = kOpeners.find(grammar[i]);
    size_t end = i + 1;
    if (opener != std::string_view::npos) {
      const bool has_escapes = grammar[i] != '#';
      while (end < grammar.size() && grammar[end] != kClosers[opener]) {
        end += has_escapes && grammar[end] == '\\' ? 2 : 1;
      }
      end = std::min(end + 1, grammar.size());
    } else if (IsRuleLetter(grammar[i])) {
      while (end < grammar.size() && IsRuleLetter(grammar[end])) ++end;
      renamed += prefix;
    }
    renamed += grammar.substr(i, end - i);
    i = end;
  }
  return renamed;
}

std::string Concat(std::initializer_list<std::string_view> parts) {
  std::string text;
  for (const std::string_view part : parts) text += part;
  return text;
}

std::string Choice(const std::vector<std::string>& choices) {
  std::string text = "(";
  for (const std::string& choice : choices) {
    if (text.size() > 1) text += " | ";
    text += choice;
  }
  return text + ")";
}

std::string RuleName(std::string_view text) {
  std::string name;
  bool in_run = false;
  for (const char c : text) {
    if (IsRuleLetter(c) || !in_run) name += IsRuleLetter(c) ? c : '-';
    in_run = !IsRuleLetter(c);
  }
  return name;
}
