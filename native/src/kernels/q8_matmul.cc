#include "kernels/q8_matmul.h"

#include <algorithm>
#include <cstring>

// Where cpu_kernels.cc can make use of them.
#if defined(__linux__) && defined(__x86_64__)

#include <immintrin.h>

namespace {

// How far ahead the stream of weights is asked for: 32 cache lines.
constexpr size_t kPrefetchBytes = 2048;

// Vectors are loaded from aligned addresses.
constexpr size_t kAlignment = 32;

namespace vnni {
#define Q8_TARGET __attribute__((target("avx512vnni,avx512vl,avx512f,avx2,fma,f16c")))
#define Q8_DOT(magnitudes, values) \
  _mm256_dpbusd_epi32(_mm256_setzero_si256(), (magnitudes), (values))
#include "kernels/q8_row_kernel.inc"
#undef Q8_DOT
#undef Q8_TARGET
}  // namespace vnni

namespace avx2 {
#define Q8_TARGET __attribute__((target("avx2,fma,f16c")))
#define Q8_DOT(magnitudes, values) \
  _mm256_madd_epi16(_mm256_set1_epi16(1), _mm256_maddubs_epi16((magnitudes), (values)))
#include "kernels/q8_row_kernel.inc"
#undef Q8_DOT
#undef Q8_TARGET
}  // namespace avx2

constexpr Q8Kernel kVnni{"AVX-512 VNNI", 64, vnni::kRowKernels};
constexpr Q8Kernel kAvx2{"AVX2", 8, avx2::kRowKernels};

__attribute__((target("f16c"))) float ToFloat(uint16_t half) { return _cvtsh_ss(half); }

// Every processor with these has F16C, for which older compilers have no name here.
bool HasAvx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

bool HasVnni() {
  return HasAvx2() && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
}

// A group of inputs as the kernels read them: of each block the values of all, then their scales.
struct Group {
  size_t n_inputs;
  int8_t* values;
  float* scales;
};

Group GroupAt(const Q8Product& product, size_t first_input) {
  const auto address = reinterpret_cast<uintptr_t>(product.work);
  std::byte* aligned = product.work + (kAlignment - address % kAlignment) % kAlignment;
  auto* values = reinterpret_cast<int8_t*>(aligned);
  const size_t n_values = product.n_blocks * Q8Block::kValues;
  auto* scales = reinterpret_cast<float*>(aligned + product.n_inputs * n_values);
  return {std::min(Q8Kernel::kGroup, product.n_inputs - first_input),
          values + first_input * n_values, scales + first_input * product.n_blocks};
}

}  // namespace

std::array<const Q8Kernel*, 3> Q8Kernels() {
  if (HasVnni()) return {&kVnni, &kAvx2, nullptr};
  if (HasAvx2()) return {&kAvx2, nullptr, nullptr};
  return {};
}

size_t Q8WorkBytes(size_t n_blocks, size_t n_inputs) {
  return kAlignment + n_inputs * n_blocks * (Q8Block::kValues + sizeof(float));
}

void PackQ8Inputs(const Q8Product& product, QuantizeQ8 quantize, size_t first, size_t end) {
  for (size_t start = 0; start < product.n_inputs; start += Q8Kernel::kGroup) {
    const Group group = GroupAt(product, start);
    for (size_t i = 0; i < group.n_inputs; ++i) {
      const float* input = product.inputs + (start + i) * product.input_stride;
      for (size_t b = first; b < end; ++b) {
        Q8Block block;
        quantize(input + b * Q8Block::kValues, &block, Q8Block::kValues);
        const size_t place = b * group.n_inputs + i;
        std::memcpy(group.values + place * Q8Block::kValues, block.values.data(), Q8Block::kValues);
        group.scales[place] = ToFloat(block.scale);
      }
    }
  }
}

void MultiplyQ8Rows(const Q8Kernel& kernel, const Q8Product& product, size_t first, size_t end) {
  // Rows that stay in the first cache while one group of inputs after another meets them.
  constexpr size_t kCachedBytes = 16 << 10;
  const size_t n_rows =
      std::clamp<size_t>(kCachedBytes / (product.n_blocks * sizeof(Q8Block)), 1, 8);
  for (size_t block = first; block < end; block += n_rows) {
    const size_t block_end = std::min(end, block + n_rows);
    for (size_t start = 0; start < product.n_inputs; start += Q8Kernel::kGroup) {
      const Group group = GroupAt(product, start);
      const Q8RowKernel multiply = kernel.for_inputs[group.n_inputs - 1];
      for (size_t r = block; r < block_end; ++r) {
        multiply(product.weights + r * product.row_stride, product.n_blocks, group.values,
                 group.scales, product.outputs + start * product.output_stride + r,
                 product.output_stride);
      }
    }
  }
}

#else

std::array<const Q8Kernel*, 3> Q8Kernels() { return {}; }
size_t Q8WorkBytes(size_t, size_t) { return 0; }
void PackQ8Inputs(const Q8Product&, QuantizeQ8, size_t, size_t) {}
void MultiplyQ8Rows(const Q8Kernel&, const Q8Product&, size_t, size_t) {}

#endif
