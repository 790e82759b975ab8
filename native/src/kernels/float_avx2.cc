// Products of weights that are floats, for AVX2.
#include "kernels/platform.h"
#include "kernels/tile.h"

#ifdef KERNELS_X86

#include <immintrin.h>

#include "kernels/lanes.h"

#define LANE_TARGET __attribute__((target("avx2,fma,f16c")))
#define LANES "kernels/lanes_avx2.inc"
#include "kernels/float_kernel.inc"

const FloatKernel kAvx2Floats = kFloats;

#endif
