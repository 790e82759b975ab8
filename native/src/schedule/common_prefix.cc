#include "schedule/common_prefix.h"

#include <algorithm>
#include <cstring>

namespace {

// Tokens compared at a time.
constexpr int32_t kBlock = 256;

}  // namespace

int32_t CommonPrefix(std::span<const int32_t> a, std::span<const int32_t> b) {
  const auto n = static_cast<int32_t>(std::min(a.size(), b.size()));
  int32_t i = 0;
  while (i + kBlock <= n && std::memcmp(&a[i], &b[i], kBlock * sizeof(int32_t)) == 0) i += kBlock;
  while (i < n && a[i] == b[i]) ++i;
  return i;
}
