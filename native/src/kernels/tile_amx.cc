// The kernels for AMX: many inputs meet sixteen rows at once, fewer meet a tile as with VNNI.
#include "kernels/platform.h"
#include "kernels/tile.h"

// With a compiler that knows AMX.
#if defined(KERNELS_X86) && __has_include(<amxint8intrin.h>)

#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>

// GCC 12 takes the operands that its own intrinsics leave undefined on purpose for mistakes.
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#define TILE_TARGET \
  __attribute__((target("amx-tile,amx-int8,avx512vnni,avx512vl,avx512f,avx512bw,avx2,fma,f16c")))
#include "kernels/tile_pair.inc"

namespace {

// Registers of AMX, which instructions name by constants.
#define SUMS 0
#define INPUTS 1
#define WEIGHTS 2
// Of the second half of a block, where the halves have scales of their own.
#define SECOND_SUMS 3
#define SECOND_INPUTS 4
#define SECOND_WEIGHTS 5

// Shapes of the registers, as LDTILECFG reads them.
struct alignas(64) TileShapes {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  std::array<uint8_t, 14> reserved = {};
  std::array<uint16_t, 16> row_bytes = {};
  std::array<uint8_t, 16> n_rows = {};

  void Set(size_t tile, size_t rows, size_t bytes) {
    n_rows[tile] = static_cast<uint8_t>(rows);
    row_bytes[tile] = static_cast<uint16_t>(bytes);
  }
};
static_assert(sizeof(TileShapes) == 64);

// The registers of the thread have these shapes until the end of the scope; ggml's own use of AMX
// in the same thread expects its shapes to stay.
class WithShapes {
 public:
  TILE_TARGET explicit WithShapes(const TileShapes& shapes) {
    _tile_storeconfig(&before_);
    // The compiler takes the instruction for one that reads eight bytes.
    __asm__ volatile("" ::"m"(shapes) : "memory");
    _tile_loadconfig(&shapes);
  }
  TILE_TARGET ~WithShapes() {
    if (before_.palette == 0) {
      _tile_release();
    } else {
      __asm__ volatile("" ::"m"(before_) : "memory");
      _tile_loadconfig(&before_);
    }
  }
  WithShapes(const WithShapes&) = delete;
  WithShapes& operator=(const WithShapes&) = delete;

 private:
  TileShapes before_;
};

template <TileKind kKind>
TileShapes ShapesFor(size_t n_inputs) {
  // Bytes of a block that meet at once.
  constexpr size_t kBytes = kKind == TileKind::kHalves ? kBlockValues / 2 : kBlockValues;
  TileShapes shapes;
  shapes.Set(SUMS, n_inputs, kPairRows * sizeof(int32_t));
  shapes.Set(INPUTS, n_inputs, kBytes);
  shapes.Set(WEIGHTS, kBytes / 4, 4 * kPairRows);
  shapes.Set(SECOND_SUMS, n_inputs, kPairRows * sizeof(int32_t));
  shapes.Set(SECOND_INPUTS, n_inputs, kBytes);
  shapes.Set(SECOND_WEIGHTS, kBytes / 4, 4 * kPairRows);
  return shapes;
}

// The integer products of a block: of each half, of each input, of each row.
using PairDots = std::array<std::array<int32_t, kPairRows>, TileKernel::kMaxPairGroup>;

template <TileKind kKind>
TILE_FUNCTION void DotPair(const PairBlock& block, const int8_t* values, PairDots* dots) {
  constexpr size_t kRowBytes = kPairRows * sizeof(int32_t);
  _tile_zero(SUMS);
  _tile_loadd(INPUTS, values, kBlockValues);
  _tile_loadd(WEIGHTS, block.values.data(), 4 * kPairRows);
  _tile_dpbssd(SUMS, INPUTS, WEIGHTS);
  _tile_stored(SUMS, dots[0].data(), kRowBytes);
  if constexpr (kKind == TileKind::kHalves) {
    _tile_zero(SECOND_SUMS);
    _tile_loadd(SECOND_INPUTS, values + kBlockValues / 2, kBlockValues);
    _tile_loadd(SECOND_WEIGHTS, block.values.data() + kBlockValues / 2 * kPairRows, 4 * kPairRows);
    _tile_dpbssd(SECOND_SUMS, SECOND_INPUTS, SECOND_WEIGHTS);
    _tile_stored(SECOND_SUMS, dots[1].data(), kRowBytes);
  }
}

// The products of a half times its scale are below 2^24, which floats hold exactly, so one
// rounding is left: that of an integer sum on its way to a float.
template <TileKind kKind>
TILE_FUNCTION __m512 SumOf(const PairBlock& block, const PairDots* dots, size_t input) {
  const __m512 first = _mm512_cvtepi32_ps(_mm512_load_si512(dots[0][input].data()));
  if constexpr (kKind == TileKind::kHalves) {
    const __m512 second = _mm512_cvtepi32_ps(_mm512_load_si512(dots[1][input].data()));
    return _mm512_fmadd_ps(first, _mm512_load_ps(block.half_scales[0].data()),
                           _mm512_mul_ps(second, _mm512_load_ps(block.half_scales[1].data())));
  }
  return first;
}

// Where the number of inputs is known (0: it is not), the sums stay in registers.
template <TileKind kKind, size_t kInputs>
TILE_FUNCTION void MultiplyBlocks(const PairBlock* pair, size_t n_blocks, const InputGroup& group,
                                  size_t first, bool continues, float* outputs, size_t stride) {
  constexpr size_t kMost = TileKernel::kMaxPairGroup;
  const size_t n_inputs = kInputs > 0 ? kInputs : group.n_inputs;
  const auto each_input = [n_inputs](auto body) TILE_TARGET {
    if constexpr (kInputs > 0) {
      KERNEL_UNROLL(16)
      for (size_t i = 0; i < kInputs; ++i) body(i);
    } else {
      for (size_t i = 0; i < n_inputs; ++i) body(i);
    }
  };
  __m512 totals[kMost];
  each_input([&](size_t i) TILE_TARGET {
    totals[i] = continues ? _mm512_loadu_ps(outputs + i * stride) : _mm512_setzero_ps();
  });
  // Two blocks take turns, so that one is multiplied while the one before is added up.
  alignas(64) PairDots dots[2][2];
  DotPair<kKind>(pair[0], group.values + first * n_inputs * kBlockValues, dots[0]);
  for (size_t b = 0; b < n_blocks; ++b) {
    const size_t place = (first + b) * n_inputs;
    if (b + 1 < n_blocks) {
      DotPair<kKind>(pair[b + 1], group.values + (place + n_inputs) * kBlockValues,
                     dots[(b + 1) % 2]);
    }
    each_input([&](size_t i) TILE_TARGET {
      const __m512 sum = SumOf<kKind>(pair[b], dots[b % 2], i);
      totals[i] = AddPairBlock<kKind>(pair[b], sum, group, place + i, totals[i]);
    });
  }
  each_input([&](size_t i) TILE_TARGET { _mm512_storeu_ps(outputs + i * stride, totals[i]); });
}

template <TileKind kKind>
TILE_TARGET void MultiplyPair(const PairBlock* pair, size_t n_blocks, const InputGroup& group,
                              size_t first, bool continues, float* outputs, size_t stride) {
  const WithShapes shapes(ShapesFor<kKind>(group.n_inputs));
  constexpr size_t kFull = TileKernel::kMaxPairGroup;
  const auto multiply =
      group.n_inputs == kFull ? MultiplyBlocks<kKind, kFull> : MultiplyBlocks<kKind, 0>;
  multiply(pair, n_blocks, group, first, continues, outputs, stride);
}

bool HasAmx() {
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  constexpr unsigned kTileBit = 1u << 24;
  constexpr unsigned kInt8Bit = 1u << 25;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return false;
  if ((edx & kTileBit) == 0 || (edx & kInt8Bit) == 0) return false;
  // Linux grants a process the large registers when it asks for them.
  constexpr long kRequestPermission = 0x1023;
  constexpr long kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

TileKernel MakeAmxTiles() {
  TileKernel kernel = kVnniTiles;
  kernel.name = "AMX";
  // Fewer do not pay for bringing two tiles together.
  kernel.min_pair_inputs = 16;
  kernel.join = Join;
  kernel.multiply_pair = {MultiplyPair<TileKind::kFourBits>, MultiplyPair<TileKind::kFiveBits>,
                          MultiplyPair<TileKind::kHalves>, MultiplyPair<TileKind::kSigned>};
  return kernel;
}

}  // namespace

const TileKernel* AmxTiles() {
  static const TileKernel kernel = MakeAmxTiles();
  static const bool has_amx = HasAmx();
  return has_amx ? &kernel : nullptr;
}

#else

const TileKernel* AmxTiles() { return nullptr; }

#endif
