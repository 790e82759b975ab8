// Products of weights that are floats, for AVX2.
#include "kernels/tile.h"

// Where cpu_kernels.cc can make use of them.
#if defined(__linux__) && defined(__x86_64__)

#include <immintrin.h>

#include "kernels/lanes.h"

#define LANE_TARGET __attribute__((target("avx2,fma,f16c")))
#define LANES "kernels/lanes_avx2.inc"
#include "kernels/float_kernel.inc"

const FloatKernel kAvx2Floats = kFloats;

#endif
