#include "core/trigger_finder.h"

#include <algorithm>
#include <utility>

TriggerFinder::TriggerFinder(std::vector<std::string> words,
                             const std::vector<std::string>& patterns)
    : words_(std::move(words)) {
  for (const std::string& text : patterns) {
    const bool is_whole = text.starts_with('^') && text.ends_with('$');
    patterns_.push_back({std::regex(text), is_whole});
  }
}

bool TriggerFinder::Push(std::string_view piece) {
  tail_ += piece;
  // A piece is no longer than a token.
  const size_t n_kept = kWindow + piece.size();
  if (tail_.size() > n_kept) {
    tail_.erase(0, tail_.size() - n_kept);
    is_all_ = false;
  }
  const bool has_word = std::ranges::any_of(words_, [&](const std::string& word) {
    const size_t n_searched = word.size() + piece.size();
    return tail_.find(word, tail_.size() - std::min(tail_.size(), n_searched)) != tail_.npos;
  });
  return has_word || std::ranges::any_of(patterns_, [&](const Pattern& pattern) {
           if (!pattern.is_whole) return std::regex_search(tail_, pattern.regex);
           return is_all_ && std::regex_match(tail_, pattern.regex);
         });
}

void TriggerFinder::Clear() {
  tail_.clear();
  is_all_ = true;
}
