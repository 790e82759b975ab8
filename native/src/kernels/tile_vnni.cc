// The kernels for AVX-512 VNNI.
#include "kernels/platform.h"
#include "kernels/tile.h"

#ifdef KERNELS_X86

#include <immintrin.h>

#include <cstring>

#define TILE_TARGET __attribute__((target("avx512vnni,avx512vl,avx512f,avx512bw,avx2,fma,f16c")))
#define TILE_DOTS "kernels/dots_vnni.inc"
#include "kernels/tile_kernel.inc"

const TileKernel kVnniTiles = {.name = "AVX-512 VNNI",
                               .unpack = kUnpack,
                               .multiply = kMultiply,
                               .multiply_rows = kMultiplyRows,
                               .pack = Pack,
                               .floats = kAvx512Floats};

#endif
