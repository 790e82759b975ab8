// Grammars in GBNF as text: the rules of one to be looked up, replaced and added to, and what rules
// are made of.
#pragma once

#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// The rules of a grammar that stand on one line each.
class GrammarRules {
 public:
  explicit GrammarRules(std::string_view grammar) {
    Add(grammar);
    Mark();
  }

  // Null where there is no such rule. Valid until the rule is set.
  const std::string* Find(const std::string& name) const;
  // Throws std::invalid_argument where all rules together become too large: schemas repeat what
  // they refer to.
  void Set(const std::string& name, std::string body);

  // Remembers the rules as they are, for Revert().
  void Mark();
  // Takes back all that was set since Mark().
  void Revert();

  // A name that no rule of llama.cpp's has.
  std::string NewName();

  // Adds a rule under such a name; returns the name.
  std::string AddRule(std::string body);

  // Adds a whole grammar under such names; returns that of its root.
  std::string AddGrammar(std::string_view grammar);

  std::string text() const;

 private:
  void Add(std::string_view grammar);

  std::map<std::string, std::string> bodies_;
  // What rules were before they were set, since Mark(); empty for none.
  std::vector<std::pair<std::string, std::optional<std::string>>> changes_;
  int n_names_ = 0;
  size_t n_set_ = 0;
};

// Whether a rule's name may contain `c`.
bool IsRuleLetter(char c);

// `grammar` with all its rules under names that begin with `prefix`.
std::string WithPrefix(std::string_view grammar, std::string_view prefix);

// All of `parts`, one after the other.
std::string Concat(std::initializer_list<std::string_view> parts);

// An expression for any of `choices`.
std::string Choice(const std::vector<std::string>& choices);

// As llama.cpp names a rule after `text`.
std::string RuleName(std::string_view text);
