#include "core/utf8_stream.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

// Length of the character a lead byte announces; 0 for a byte that cannot lead.
size_t SequenceLength(uint8_t lead) {
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return 2;
  if (lead >= 0xE0 && lead <= 0xEF) return 3;
  if (lead >= 0xF0 && lead <= 0xF4) return 4;
  return 0;
}

// Whether `byte` may stand at `index` (1 to 3) behind `lead`: Unicode 15, table 3-7, which rules
// out overlong forms, surrogates and values above U+10FFFF by the second byte.
bool MayContinue(uint8_t lead, size_t index, uint8_t byte) {
  if (index == 1) {
    if (lead == 0xE0) return byte >= 0xA0 && byte <= 0xBF;
    if (lead == 0xED) return byte >= 0x80 && byte <= 0x9F;
    if (lead == 0xF0) return byte >= 0x90 && byte <= 0xBF;
    if (lead == 0xF4) return byte >= 0x80 && byte <= 0x8F;
  }
  return byte >= 0x80 && byte <= 0xBF;
}

}  // namespace

int32_t CountCharacters(std::string_view text) {
  const auto leads = [](char byte) { return (static_cast<uint8_t>(byte) & 0xC0) != 0x80; };
  return static_cast<int32_t>(std::ranges::count_if(text, leads));
}

std::string Utf8Stream::Push(std::string_view bytes) {
  pending_.append(bytes);
  std::string text;
  text.reserve(pending_.size());
  size_t at = 0;
  while (at < pending_.size()) {
    const auto lead = static_cast<uint8_t>(pending_[at]);
    const size_t length = SequenceLength(lead);
    size_t valid = length == 0 ? 0 : 1;
    while (valid > 0 && valid < length && at + valid < pending_.size() &&
           MayContinue(lead, valid, static_cast<uint8_t>(pending_[at + valid]))) {
      ++valid;
    }
    if (length > 0 && valid == length) {
      text.append(pending_, at, length);
      at += length;
    } else if (length > 0 && at + valid == pending_.size()) {
      break;
    } else {
      text.append(kReplacement);
      at += valid == 0 ? 1 : valid;
    }
  }
  pending_.erase(0, at);
  return text;
}

std::string Utf8Stream::Finish() {
  if (pending_.empty()) return {};
  pending_.clear();
  return std::string(kReplacement);
}
