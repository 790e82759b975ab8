// The formats of weights that the kernels multiply, with ggml's layout of each: first the quantized
// ones, then floats.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

enum class WeightFormat : uint8_t {
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ8_0,
  kQ2_K,
  kQ3_K,
  kQ4_K,
  kQ5_K,
  kQ6_K,
  kIq4Nl,
  kIq4Xs,
  kMxfp4,
  kF16,
  kBf16,
  kF32,
};
inline constexpr size_t kNumFormats = 16;
inline constexpr size_t kNumQuantizedFormats = 13;
inline constexpr size_t kNumFloatFormats = kNumFormats - kNumQuantizedFormats;

// Values of a weight block and of an input block. With quantized weights they share one scale of
// the input.
inline constexpr size_t kBlockValues = 32;

struct FormatLayout {
  const char* name;  // ggml's
  // A row is a sequence of records of so many bytes, each of which holds so many blocks.
  size_t record_bytes;
  size_t record_blocks;
};

inline constexpr std::array<FormatLayout, kNumFormats> kFormatLayouts = {{
    {"q4_0", 18, 1},
    {"q4_1", 20, 1},
    {"q5_0", 22, 1},
    {"q5_1", 24, 1},
    {"q8_0", 34, 1},
    {"q2_K", 84, 8},
    {"q3_K", 110, 8},
    {"q4_K", 144, 8},
    {"q5_K", 176, 8},
    {"q6_K", 210, 8},
    {"iq4_nl", 18, 1},
    {"iq4_xs", 136, 8},
    {"mxfp4", 17, 1},
    {"f16", 64, 1},
    {"bf16", 64, 1},
    {"f32", 128, 1},
}};

inline constexpr const FormatLayout& LayoutOf(WeightFormat format) {
  return kFormatLayouts[static_cast<size_t>(format)];
}

inline constexpr bool IsQuantized(WeightFormat format) {
  return static_cast<size_t>(format) < kNumQuantizedFormats;
}
