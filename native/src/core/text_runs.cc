#include "core/text_runs.h"

#include <algorithm>
#include <array>
#include <cstdint>

namespace {

enum Kind { kLetter, kDigit, kSpace, kOther, kKindCount };

Kind KindOf(uint8_t byte) {
  if ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'z') return kLetter;
  if (byte >= '0' && byte <= '9') return kDigit;
  if (byte == ' ' || (byte >= '\t' && byte <= '\r')) return kSpace;
  return kOther;
}

}  // namespace

size_t MaxRun(std::string_view text) {
  std::array<size_t, kKindCount> runs{};
  size_t max_run = 0;
  for (const char character : text) {
    const auto byte = static_cast<uint8_t>(character);
    const bool continuation = (byte & 0xC0) == 0x80;
    if (continuation) continue;
    if (byte < 0x80) {
      const size_t run = runs[KindOf(byte)] + 1;
      runs = {};
      runs[KindOf(byte)] = run;
    } else {
      for (size_t& run : runs) ++run;
    }
    max_run = std::max(max_run, *std::max_element(runs.begin(), runs.end()));
  }
  return max_run;
}
