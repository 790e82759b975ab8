// Attention for AVX2.
#include "kernels/attention_kernel.h"
#include "kernels/platform.h"

#ifdef KERNELS_X86

#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/attention.h"

#define LANE_TARGET __attribute__((target("avx2,fma,f16c")))
#define LANES "kernels/lanes_avx2.inc"
#include "kernels/attention_kernel.inc"

const AttentionKernel kAvx2Attention = KernelNamed("AVX2");

#endif
