#include "core/reasoning_counter.h"

#include <algorithm>
#include <utility>

ReasoningCounter::ReasoningCounter(std::string start, std::vector<std::string> ends,
                                   std::string_view opening)
    : start_(std::move(start)), ends_(std::move(ends)) {
  std::erase(ends_, "");
  if (start_.empty() || ends_.empty()) return;
  const size_t opened = opening.rfind(start_);
  if (opened == opening.npos) {
    state_ = State::kBefore;
    return;
  }
  const std::string_view rest = opening.substr(opened + start_.size());
  const bool is_closed = std::ranges::any_of(
      ends_, [&](const std::string& end) { return rest.find(end) != rest.npos; });
  state_ = is_closed ? State::kAfter : State::kInside;
}

void ReasoningCounter::Push(std::string_view piece) {
  if (state_ == State::kAfter) return;
  if (state_ == State::kInside) {
    ++n_tokens_;
    PushInside(piece);
    return;
  }
  ++n_before_;
  text_ += piece;
  const size_t first = text_.find_first_not_of(" \n\r\t");
  if (first == text_.npos) return;
  const std::string begun = text_.substr(first);
  if (begun.starts_with(start_)) {
    state_ = State::kInside;
    n_tokens_ = n_before_;
    text_.clear();
    PushInside(std::string_view(begun).substr(start_.size()));
  } else if (!start_.starts_with(begun)) {
    state_ = State::kAfter;
  }
}

size_t ReasoningCounter::max_end_size() const {
  size_t size = 0;
  for (const std::string& end : ends_) size = std::max(size, end.size());
  return size;
}

void ReasoningCounter::PushInside(std::string_view piece) {
  text_ += piece;
  for (const std::string& end : ends_) {
    if (text_.find(end) != text_.npos) state_ = State::kAfter;
  }
  const size_t max_end = max_end_size();
  if (text_.size() >= max_end) text_.erase(0, text_.size() - max_end + 1);
}
