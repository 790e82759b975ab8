// Products of weights that are floats, for AVX-512.
#include "kernels/platform.h"
#include "kernels/tile.h"

#ifdef KERNELS_X86

#include <immintrin.h>

#include "kernels/lanes.h"

// GCC 12 takes the operands that its own intrinsics leave undefined on purpose for mistakes.
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#define LANE_TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c")))
#define LANES "kernels/lanes_avx512.inc"
#include "kernels/float_kernel.inc"

const FloatKernel kAvx512Floats = kFloats;

#endif
