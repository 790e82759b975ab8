#include "core/stop_matcher.h"

#include <algorithm>
#include <utility>

StopMatcher::Pattern::Pattern(std::string pattern_text)
    : text(std::move(pattern_text)), fallback(text.size() + 1, 0) {
  size_t length = 0;
  for (size_t i = 1; i < text.size(); ++i) {
    while (length > 0 && text[i] != text[length]) length = fallback[length];
    if (text[i] == text[length]) ++length;
    fallback[i + 1] = length;
  }
}

bool StopMatcher::Pattern::Feed(char byte) {
  while (matched > 0 && text[matched] != byte) matched = fallback[matched];
  if (text[matched] == byte) ++matched;
  return matched == text.size();
}

StopMatcher::StopMatcher(std::vector<std::string> stops) {
  for (auto& stop : stops) {
    if (!stop.empty()) patterns_.emplace_back(std::move(stop));
  }
}

StopMatcher::Result StopMatcher::Push(std::string_view text) {
  if (patterns_.empty()) return {std::string(text), false};
  for (const char byte : text) {
    held_.push_back(byte);
    size_t complete = 0;
    for (auto& pattern : patterns_) {
      if (pattern.Feed(byte)) complete = std::max(complete, pattern.text.size());
    }
    if (complete > 0) {
      held_.resize(held_.size() - complete);
      return {std::exchange(held_, {}), true};
    }
  }
  size_t possible = 0;
  for (const auto& pattern : patterns_) possible = std::max(possible, pattern.matched);
  std::string released = held_.substr(0, held_.size() - possible);
  held_.erase(0, released.size());
  return {std::move(released), false};
}

std::string StopMatcher::Finish() { return std::exchange(held_, {}); }
