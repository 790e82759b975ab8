#include "core/token_rules.h"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <utility>

namespace {

constexpr float kExcluded = -std::numeric_limits<float>::infinity();

}  // namespace

TokenRules::TokenRules(TokenRuleOptions options, std::span<const int32_t> model_ends)
    : options_(std::move(options)), ends_(model_ends.begin(), model_ends.end()) {
  ends_.insert(ends_.end(), options_.stop_tokens.begin(), options_.stop_tokens.end());
  // A token that stood there twice would be put aside once more with the value of the mask.
  std::ranges::sort(ends_);
  ends_.erase(std::ranges::unique(ends_).begin(), ends_.end());
  for (const auto& word : options_.bad_words) max_recent_ = std::max(max_recent_, word.size() - 1);
}

void TokenRules::Mask(std::span<float> row) {
  if (!options_.allowed_tokens.empty()) {
    kept_.clear();
    for (const int32_t token : options_.allowed_tokens) kept_.push_back(row[size_t(token)]);
    std::ranges::fill(row, kExcluded);
    for (size_t i = 0; i < kept_.size(); ++i) row[size_t(options_.allowed_tokens[i])] = kept_[i];
  }
  for (const auto& word : options_.bad_words) {
    if (IsNearlyComplete(word)) row[size_t(word.back())] = kExcluded;
  }
  ends_kept_.clear();
  if (n_sampled_ >= options_.min_tokens) return;
  for (const int32_t end : ends_) ends_kept_.push_back(std::exchange(row[size_t(end)], kExcluded));
}

bool TokenRules::AllowEnds(std::span<float> row) {
  for (size_t i = 0; i < ends_kept_.size(); ++i) row[size_t(ends_[i])] = ends_kept_[i];
  return !std::exchange(ends_kept_, {}).empty();
}

void TokenRules::Accept(int32_t token) {
  ++n_sampled_;
  if (max_recent_ == 0) return;
  if (recent_.size() == max_recent_) recent_.erase(recent_.begin());
  recent_.push_back(token);
}

bool TokenRules::IsNearlyComplete(std::span<const int32_t> word) const {
  const auto before = word.first(word.size() - 1);
  return before.size() <= recent_.size() &&
         std::ranges::equal(before, std::span(recent_).last(before.size()));
}
