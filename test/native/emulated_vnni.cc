// The kernels for VNNI with its one instruction emulated, so that they are tested where it is
// missing.
#include "emulated_vnni.h"

#include "kernels/platform.h"

#ifdef KERNELS_X86

#include <immintrin.h>

#include <cstring>

namespace {

__attribute__((target("avx2"))) __m256i DotBytes(__m256i sums, __m256i weights, __m256i values) {
  const __m256i ones = _mm256_set1_epi16(1);
  const __m256i even =
      _mm256_maddubs_epi16(_mm256_and_si256(weights, _mm256_set1_epi16(0x00ff)), values);
  const __m256i odd =
      _mm256_maddubs_epi16(_mm256_andnot_si256(_mm256_set1_epi16(0x00ff), weights), values);
  sums = _mm256_add_epi32(sums, _mm256_madd_epi16(even, ones));
  return _mm256_add_epi32(sums, _mm256_madd_epi16(odd, ones));
}

}  // namespace

#undef _mm256_dpbusd_epi32
#define _mm256_dpbusd_epi32 DotBytes
#define TILE_TARGET __attribute__((target("avx2,fma,f16c")))
#define TILE_DOTS "kernels/dots_vnni.inc"
#include "kernels/tile_kernel.inc"

const TileKernel kEmulatedVnniTiles = {.name = "emulated VNNI",
                                       .unpack = kUnpack,
                                       .multiply = kMultiply,
                                       .multiply_rows = kMultiplyRows,
                                       .pack = Pack,
                                       .floats = kAvx2Floats};

#endif
