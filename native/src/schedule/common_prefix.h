// The comparison of rows of tokens on which all caching of prefixes rests.
#pragma once

#include <cstdint>
#include <span>

// Length of the longest common prefix.
int32_t CommonPrefix(std::span<const int32_t> a, std::span<const int32_t> b);
