#include "grammar/optional_row.h"

#include <algorithm>

namespace {

constexpr size_t kNoLimit = std::numeric_limits<size_t>::max();

}  // namespace

ItemCounts ItemCounts::After(size_t n) const {
  return {min - std::min(n, min), max == kNoLimit ? max : max - std::min(n, max)};
}

std::string ItemCounts::Repetition() const {
  return Concat({"{", std::to_string(min), ",", max == kNoLimit ? "" : std::to_string(max), "}"});
}

bool OptionalRow::CanEnd(size_t first, size_t n_written) const {
  return n_written + items_.size() - first >= counts_.min;
}

// NOLINTNEXTLINE(misc-no-recursion): the rest of a row is a row.
std::string OptionalRow::From(size_t first, size_t n_written) {
  if (first == items_.size() || n_written >= counts_.max) return "";
  // Without a limit on the rest it does not matter how many there are beyond the minimum.
  const bool is_limited = counts_.max - n_written < items_.size() - first;
  if (!is_limited) n_written = std::min(n_written, counts_.min);
  const auto [name, is_new] = names_.try_emplace({first, n_written});
  if (!is_new) return name->second;
  const std::string& item = items_[first];
  const std::string with = From(first + 1, n_written + 1);
  std::string body = Concat({item, " ", with});
  if (CanEnd(first + 1, n_written)) {
    const std::string without = From(first + 1, n_written);
    body = with == without   ? Concat({"(", item, ")? ", with})
           : without.empty() ? Concat({"(", item, " ", with, ")?"})
                             : Concat({item, " ", with, " | ", without});
  }
  name->second = rules_->AddRule(std::move(body));
  return name->second;
}
