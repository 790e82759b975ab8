// The vectors of floats that kernels compute with, whatever the instruction set (lanes_*.inc).
#pragma once

#include <cstddef>

inline constexpr size_t kLanes = 16;
