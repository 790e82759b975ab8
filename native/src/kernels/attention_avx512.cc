// Attention for AVX-512.
#include "kernels/attention_kernel.h"
#include "kernels/platform.h"

#ifdef KERNELS_X86

#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/attention.h"

// GCC 12 takes the operands that its own intrinsics leave undefined on purpose for mistakes.
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#define LANE_TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c")))
#define LANES "kernels/lanes_avx512.inc"
#include "kernels/attention_kernel.inc"

const AttentionKernel kAvx512Attention = KernelNamed("AVX-512");

#endif
