// Items of which some are there, in their order: a grammar that counts them.
#pragma once

#include <cstddef>
#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "grammar/grammar_rules.h"

// How many there may be; by default any number.
struct ItemCounts {
  size_t min = 0;
  size_t max = std::numeric_limits<size_t>::max();

  // The same for what is left when `n` are there.
  ItemCounts After(size_t n) const;

  // As a repetition in GBNF, such as {1,3}.
  std::string Repetition() const;
};

class OptionalRow {
 public:
  // Each of `items` is an expression, with what separates it from the one before.
  OptionalRow(std::vector<std::string> items, ItemCounts counts, GrammarRules* rules)
      : items_(std::move(items)), counts_(counts), rules_(rules) {}

  // An expression for the items from `first` on, when `n_written` are there. Empty for none.
  // Requires CanEnd().
  std::string From(size_t first, size_t n_written = 0);

  // Whether the items from `first` on are enough, when `n_written` are there.
  bool CanEnd(size_t first, size_t n_written) const;

 private:
  std::vector<std::string> items_;
  ItemCounts counts_;
  GrammarRules* rules_;
  // Rules by the first item, and by how many are there.
  std::map<std::pair<size_t, size_t>, std::string> names_;
};
