// The kernels for AVX2.
#include "kernels/platform.h"
#include "kernels/tile.h"

#ifdef KERNELS_X86

#include <immintrin.h>

#include <cstring>

#define TILE_TARGET __attribute__((target("avx2,fma,f16c")))
#define TILE_DOTS "kernels/dots_avx2.inc"
#include "kernels/tile_kernel.inc"

const TileKernel kAvx2Tiles = {.name = "AVX2",
                               .unpack = kUnpack,
                               .multiply = kMultiply,
                               .multiply_rows = kMultiplyRows,
                               .pack = Pack,
                               .floats = kAvx2Floats};

#endif
