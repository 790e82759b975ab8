#include "kernels/random_weights.h"

#include <array>
#include <cstring>

namespace {

// Where a record has half-precision floats; none is -1.
using ScaleOffsets = std::array<int, 2>;
constexpr std::array<ScaleOffsets, kNumFormats> kScaleOffsets = {{
    {0, -1},    // Q4_0
    {0, 2},     // Q4_1
    {0, -1},    // Q5_0
    {0, 2},     // Q5_1
    {0, -1},    // Q8_0
    {80, 82},   // Q2_K
    {108, -1},  // Q3_K
    {0, 2},     // Q4_K
    {0, 2},     // Q5_K
    {208, -1},  // Q6_K
    {0, -1},    // IQ4_NL
    {0, -1},    // IQ4_XS
    {-1, -1},   // MXFP4
    {-1, -1},   // F16
    {-1, -1},   // BF16
    {-1, -1},   // F32
}};

// A block of floats from 2^-8 to 2^-3, of either sign: as 16 bits of their kind, or all of them.
void SetFloats(WeightFormat format, std::mt19937* random, std::byte* block) {
  const bool is_half = format == WeightFormat::kF16;
  std::uniform_int_distribution<uint32_t> magnitude(is_half ? 0x1c00 : 0x3b80,
                                                    is_half ? 0x3000 : 0x3e00);
  const size_t n_bytes = LayoutOf(format).record_bytes / kBlockValues;
  for (size_t i = 0; i < kBlockValues; ++i) {
    const uint32_t upper = magnitude(*random) | ((*random)() & 0x8000);
    const uint32_t bits = n_bytes == 4 ? upper << 16 | ((*random)() & 0xffff) : upper;
    std::memcpy(block + i * n_bytes, &bits, n_bytes);
  }
}

}  // namespace

std::vector<std::byte> RandomWeights(WeightFormat format, size_t n_records, std::mt19937* random) {
  const size_t n_bytes = LayoutOf(format).record_bytes;
  std::uniform_int_distribution<int> byte(0, 255);
  std::uniform_int_distribution<int> scale(0x1c00, 0x3000);
  std::vector<std::byte> weights(n_records * n_bytes);
  for (std::byte& each : weights) each = static_cast<std::byte>(byte(*random));
  for (size_t record = 0; record < n_records; ++record) {
    std::byte* bytes = weights.data() + record * n_bytes;
    if (!IsQuantized(format)) SetFloats(format, random, bytes);
    for (const int offset : kScaleOffsets[static_cast<size_t>(format)]) {
      const auto half = static_cast<uint16_t>(scale(*random));
      if (offset >= 0) std::memcpy(bytes + offset, &half, sizeof half);
    }
    // An exponent of two.
    if (format == WeightFormat::kMxfp4) bytes[0] = static_cast<std::byte>(120 + byte(*random) % 8);
  }
  return weights;
}
