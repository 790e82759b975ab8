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

StopMatcher::StopMatcher(std::vector<std::string> stops, bool shows_stops)
    : shows_stops_(shows_stops) {
  for (auto& stop : stops) {
    if (!stop.empty()) patterns_.emplace_back(std::move(stop));
  }
}

StopMatcher::Result StopMatcher::Push(std::string_view text, bool may_stop) {
  if (patterns_.empty()) return {std::string(text), false};
  for (const char byte : text) {
    held_.push_back(byte);
    size_t complete = 0;
    for (auto& pattern : patterns_) {
      if (!pattern.Feed(byte)) continue;
      if (may_stop) {
        complete = std::max(complete, pattern.text.size());
      } else {
        pattern.GoOn();
      }
    }
    if (complete > 0) {
      const size_t begin = held_.size() - complete;
      std::string stop = held_.substr(begin);
      if (!shows_stops_) held_.resize(begin);
      return {std::exchange(held_, {}), true, std::move(stop)};
    }
  }
  size_t possible = 0;
  for (const auto& pattern : patterns_) possible = std::max(possible, pattern.matched);
  std::string released = held_.substr(0, held_.size() - possible);
  held_.erase(0, released.size());
  return {std::move(released), false};
}

std::string StopMatcher::Finish() { return std::exchange(held_, {}); }
