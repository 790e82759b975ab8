#include "kernels/tile_matmul.h"

#include <doctest.h>

#include <array>
#include <barrier>
#include <bit>
#include <cmath>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

#include "emulated_vnni.h"
#include "kernels/platform.h"
#include "kernels/random_weights.h"

namespace {

// One block of one row, as its format's definition reads, one number at a time.
struct PlainBlock {
  // Without scale and min.
  std::array<int, kBlockValues> values = {};
  float scale = 0;
  // Of the halves: 1 where the format has none.
  std::array<int, 2> half_scales = {1, 1};
  bool has_mins = true;
  bool has_half_mins = false;
  std::array<float, 2> mins = {};
};

float HalfAt(const uint8_t* bytes) {
  uint16_t half;
  std::memcpy(&half, bytes, sizeof half);
  const int exponent = (half >> 10 & 0x1f) - 15;
  const float magnitude = std::ldexp(1.0f + static_cast<float>(half & 0x3ff) / 1024.0f, exponent);
  return half & 0x8000 ? -magnitude : magnitude;
}

// The low halves of 16 bytes, then the high ones.
int NibbleAt(const uint8_t* bytes, size_t i) {
  return i < 16 ? bytes[i] & 0x0f : bytes[i - 16] >> 4;
}

int BitAt(const uint8_t* bytes, size_t i) { return bytes[i / 8] >> (i % 8) & 1; }

constexpr std::array<int, 16> kIq4 = {-127, -104, -83, -65, -49, -35, -22, -10,
                                      1,    13,   25,  38,  53,  69,  89,  113};
constexpr std::array<int, 16> kMxfp4 = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

// ggml's 6-bit scales and mins of Q4_K and Q5_K.
void SetSixBits(const uint8_t* record, size_t b, PlainBlock* block) {
  const uint8_t* q = record + 4;
  const int scale = b < 4 ? q[b] & 63 : (q[b + 4] & 0x0f) | (q[b - 4] >> 6) << 4;
  const int min = b < 4 ? q[b + 4] & 63 : (q[b + 4] >> 4) | (q[b] >> 6) << 4;
  block->scale = HalfAt(record) * static_cast<float>(scale);
  block->mins[0] = HalfAt(record + 2) * static_cast<float>(min);
}

void SetHalves(float super_scale, float offset, PlainBlock* block) {
  block->scale = super_scale;
  block->has_half_mins = true;
  for (size_t half = 0; half < 2; ++half) {
    block->mins[half] = super_scale * offset * static_cast<float>(block->half_scales[half]);
  }
}

PlainBlock Read(WeightFormat format, const uint8_t* record, size_t b) {
  PlainBlock block;
  const auto each = [&](auto value) {
    for (size_t i = 0; i < kBlockValues; ++i) block.values[i] = value(i);
  };
  switch (format) {
    case WeightFormat::kQ4_0:
      each([&](size_t i) { return NibbleAt(record + 2, i); });
      block.scale = HalfAt(record);
      block.mins[0] = block.scale * 8;
      break;
    case WeightFormat::kQ4_1:
      each([&](size_t i) { return NibbleAt(record + 4, i); });
      block.scale = HalfAt(record);
      block.mins[0] = -HalfAt(record + 2);
      break;
    case WeightFormat::kQ5_0:
      each([&](size_t i) { return NibbleAt(record + 6, i) | BitAt(record + 2, i) << 4; });
      block.scale = HalfAt(record);
      block.mins[0] = block.scale * 16;
      break;
    case WeightFormat::kQ5_1:
      each([&](size_t i) { return NibbleAt(record + 8, i) | BitAt(record + 4, i) << 4; });
      block.scale = HalfAt(record);
      block.mins[0] = -HalfAt(record + 2);
      break;
    case WeightFormat::kQ8_0:
      each([&](size_t i) { return static_cast<int8_t>(record[2 + i]); });
      block.scale = HalfAt(record);
      block.has_mins = false;
      break;
    case WeightFormat::kQ2_K:
      each([&](size_t i) { return record[16 + 32 * (b / 4) + i] >> 2 * (b % 4) & 3; });
      for (size_t half = 0; half < 2; ++half) block.half_scales[half] = record[2 * b + half] & 0x0f;
      SetHalves(HalfAt(record + 80), 0, &block);
      for (size_t half = 0; half < 2; ++half) {
        block.mins[half] = HalfAt(record + 82) * static_cast<float>(record[2 * b + half] >> 4);
      }
      break;
    case WeightFormat::kQ3_K:
      each([&](size_t i) {
        const int low = record[32 + 32 * (b / 4) + i] >> 2 * (b % 4) & 3;
        return low | (record[i] >> b & 1) << 2;
      });
      for (size_t half = 0; half < 2; ++half) {
        const size_t s = 2 * b + half;
        const int low = s < 8 ? record[96 + s] & 0x0f : record[96 + s - 8] >> 4;
        const int high = record[104 + s % 4] >> 2 * (s / 4) & 3;
        block.half_scales[half] = (low | high << 4) - 32;
      }
      SetHalves(HalfAt(record + 108), 4, &block);
      break;
    case WeightFormat::kQ4_K:
      each([&](size_t i) { return record[16 + 32 * (b / 2) + i] >> 4 * (b % 2) & 0x0f; });
      SetSixBits(record, b, &block);
      break;
    case WeightFormat::kQ5_K:
      each([&](size_t i) {
        const int low = record[48 + 32 * (b / 2) + i] >> 4 * (b % 2) & 0x0f;
        return low | (record[16 + i] >> b & 1) << 4;
      });
      SetSixBits(record, b, &block);
      break;
    case WeightFormat::kQ6_K:
      each([&](size_t i) {
        const size_t quarter = b % 4;
        const int low = record[64 * (b / 4) + 32 * (quarter % 2) + i] >> (quarter < 2 ? 0 : 4);
        return (low & 0x0f) | (record[128 + 32 * (b / 4) + i] >> 2 * quarter & 3) << 4;
      });
      for (size_t half = 0; half < 2; ++half) {
        block.half_scales[half] = static_cast<int8_t>(record[192 + 2 * b + half]);
      }
      SetHalves(HalfAt(record + 208), 32, &block);
      break;
    case WeightFormat::kIq4Nl:
      each([&](size_t i) { return kIq4[NibbleAt(record + 2, i)]; });
      block.scale = HalfAt(record);
      block.has_mins = false;
      break;
    case WeightFormat::kIq4Xs: {
      each([&](size_t i) { return kIq4[NibbleAt(record + 8 + 16 * b, i)]; });
      uint16_t high;
      std::memcpy(&high, record + 2, sizeof high);
      const int scale = (record[4 + b / 2] >> 4 * (b % 2) & 0x0f) | (high >> 2 * b & 3) << 4;
      block.scale = HalfAt(record) * static_cast<float>(scale - 32);
      block.has_mins = false;
      break;
    }
    case WeightFormat::kMxfp4:
      // The kernel shifts the values to positive ones.
      each([&](size_t i) { return kMxfp4[NibbleAt(record + 1, i)] + 12; });
      block.scale = std::ldexp(1.0f, record[0] - 128);
      block.mins[0] = block.scale * 12;
      break;
    case WeightFormat::kF16:
    case WeightFormat::kBf16:
    case WeightFormat::kF32:
      break;
  }
  return block;
}

// An input block in 8 bits.
struct PlainInput {
  std::array<int, kBlockValues> values;
  float scale;

  int Sum(size_t first, size_t end) const {
    int sum = 0;
    for (size_t i = first; i < end; ++i) sum += values[i];
    return sum;
  }
};

PlainInput Quantize(const float* values) {
  float magnitude = 0;
  for (size_t i = 0; i < kBlockValues; ++i) magnitude = std::max(magnitude, std::fabs(values[i]));
  PlainInput input;
  input.scale = magnitude / 127.0f;
  const float inverse = magnitude == 0 ? 0.0f : 127.0f / magnitude;
  for (size_t i = 0; i < kBlockValues; ++i) {
    input.values[i] = static_cast<int>(std::nearbyint(values[i] * inverse));
  }
  return input;
}

// A product, and all that it refers to. The memory ends where the product does, for the sanitizer.
struct Case {
  std::vector<std::byte> weights;
  std::vector<float> inputs;
  std::vector<float> outputs;
  std::vector<InputPlace> places;
  std::vector<std::byte> work;
  TileProduct product;
};

struct Size {
  size_t n_rows;
  size_t n_values;
  size_t n_inputs;
};

Case RandomCase(WeightFormat format, Size size, size_t padding, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> input(0, 2);
  const FormatLayout& layout = LayoutOf(format);
  const size_t n_blocks = size.n_values / kBlockValues;
  const size_t n_records = size.n_rows * n_blocks / layout.record_blocks;
  Case made;
  made.weights = RandomWeights(format, n_records, &random);
  made.inputs.resize(size.n_inputs * (size.n_values + padding) - padding);
  for (float& value : made.inputs) value = input(random);
  // A block of zeros has no scale.
  std::fill_n(made.inputs.begin(), kBlockValues, 0.0f);
  made.outputs.assign(size.n_inputs * (size.n_rows + padding) - padding, -1.0f);
  made.work.resize(TileWorkBytes(n_blocks, size.n_inputs));
  made.product = {.format = format,
                  .weights = made.weights.data(),
                  .n_rows = size.n_rows,
                  .n_blocks = n_blocks,
                  .row_bytes = n_blocks / layout.record_blocks * layout.record_bytes,
                  .n_inputs = size.n_inputs,
                  .inputs = made.inputs.data(),
                  .input_stride = size.n_values + padding,
                  .outputs = made.outputs.data(),
                  .output_stride = size.n_rows + padding,
                  .work = made.work.data()};
  return made;
}

float FloatAt(WeightFormat format, const uint8_t* weights, size_t i) {
  if (format == WeightFormat::kF16) return HalfAt(weights + 2 * i);
  const bool is_cut = format == WeightFormat::kBf16;
  uint32_t bits = 0;
  std::memcpy(&bits, weights + (is_cut ? 2 : 4) * i, is_cut ? 2 : 4);
  return std::bit_cast<float>(is_cut ? bits << 16 : bits);
}

// Lane l adds up the products l, l + 16, ..., and halves of the lanes are added to each other.
float ExpectedOfFloats(const Case& made, size_t row, size_t index) {
  const TileProduct& product = made.product;
  const auto* weights =
      reinterpret_cast<const uint8_t*>(made.weights.data()) + row * product.row_bytes;
  const float* input = made.inputs.data() + index * product.input_stride;
  std::array<float, 16> lanes = {};
  for (size_t i = 0; i < product.n_blocks * kBlockValues; ++i) {
    lanes[i % 16] = std::fma(FloatAt(product.format, weights, i), input[i], lanes[i % 16]);
  }
  for (const size_t half : {8, 4, 2, 1}) {
    for (size_t l = 0; l < half; ++l) lanes[l] += lanes[l + half];
  }
  return lanes[0];
}

float Expected(const Case& made, size_t row, size_t index) {
  const TileProduct& product = made.product;
  if (!IsQuantized(product.format)) return ExpectedOfFloats(made, row, index);
  const FormatLayout& layout = LayoutOf(product.format);
  float total = 0;
  for (size_t b = 0; b < product.n_blocks; ++b) {
    const auto* record = reinterpret_cast<const uint8_t*>(made.weights.data()) +
                         row * product.row_bytes + b / layout.record_blocks * layout.record_bytes;
    const PlainBlock weights = Read(product.format, record, b % layout.record_blocks);
    const PlainInput input =
        Quantize(made.inputs.data() + index * product.input_stride + b * kBlockValues);
    int dot = 0;
    for (size_t i = 0; i < kBlockValues; ++i) {
      dot += weights.values[i] * input.values[i] * weights.half_scales[i / 16];
    }
    total = std::fma(static_cast<float>(dot), weights.scale * input.scale, total);
    if (weights.has_half_mins) {
      for (size_t half = 0; half < 2; ++half) {
        const int sum = input.Sum(16 * half, 16 * half + 16);
        total = std::fma(-weights.mins[half], input.scale * static_cast<float>(sum), total);
      }
    } else if (weights.has_mins) {
      const int sum = input.Sum(0, kBlockValues);
      total = std::fma(-weights.mins[0], input.scale * static_cast<float>(sum), total);
    }
  }
  return total;
}

void CheckOutputs(const Case& made) {
  size_t n_wrong = 0;
  for (size_t input = 0; input < made.product.n_inputs; ++input) {
    for (size_t row = 0; row < made.product.n_rows; ++row) {
      const float output = made.outputs[input * made.product.output_stride + row];
      n_wrong += output != Expected(made, row, input);
    }
  }
  CHECK(n_wrong == 0);
}

// Every kernel this processor has, with every format; on a processor without kernels there is
// nothing to test.
template <typename Body>
void ForEachFormat(Body body) {
  std::vector<const TileKernel*> kernels = TileKernels();
#ifdef KERNELS_X86
  if (!kernels.empty()) kernels.push_back(&kEmulatedVnniTiles);
#endif
  for (const TileKernel* kernel : kernels) {
    for (size_t f = 0; f < kNumFormats; ++f) {
      if (!Multiplies(*kernel, static_cast<WeightFormat>(f))) continue;
      CAPTURE(NameOf(*kernel));
      CAPTURE(kFormatLayouts[f].name);
      body(*kernel, static_cast<WeightFormat>(f));
    }
  }
}

void Compute(const TileKernel& kernel, const TileProduct& product) {
  PackInputs(kernel, product, 0, product.n_blocks);
  MultiplyTiles(kernel, product, 0, product.n_tiles());
}

}  // namespace

TEST_CASE("a product is what its format's definition says, to the last bit") {
  ForEachFormat([](const TileKernel& kernel, WeightFormat format) {
    uint32_t seed = 0;
    for (const size_t n_rows : {1, 8, 19}) {
      // One record of the long formats, and more blocks than a tile or a row buffer holds.
      for (const size_t n_values : {256, 2304}) {
        for (const size_t n_inputs : {1, 2, 3, 4, 5, 6, 7, 13, 16, 35}) {
          Case made = RandomCase(format, {n_rows, n_values, n_inputs}, n_inputs % 3, ++seed);
          Compute(kernel, made.product);
          CheckOutputs(made);
        }
      }
    }
  });
}

TEST_CASE("a product of rows that are shorter than a record of the long formats") {
  ForEachFormat([](const TileKernel& kernel, WeightFormat format) {
    if (LayoutOf(format).record_blocks > 1) return;
    for (const size_t n_values : {32, 96, 576}) {
      for (const size_t n_inputs : {1, 2, 5}) {
        Case made = RandomCase(format, {9, n_values, n_inputs}, 0, 3);
        Compute(kernel, made.product);
        CheckOutputs(made);
      }
    }
  });
}

TEST_CASE("a product leaves what is between its outputs alone") {
  ForEachFormat([](const TileKernel& kernel, WeightFormat format) {
    for (const size_t n_inputs : {2, 7, 16}) {
      Case made = RandomCase(format, {40, 256, n_inputs}, 3, 1);
      PackInputs(kernel, made.product, 0, made.product.n_blocks);
      MultiplyTiles(kernel, made.product, 1, 4);
      for (size_t i = 0; i < made.outputs.size(); ++i) {
        const size_t row = i % made.product.output_stride;
        if (row < 8 || row >= 32) CHECK(made.outputs[i] == -1.0f);
      }
    }
  });
}

TEST_CASE("inputs and outputs of a product may lie anywhere") {
  ForEachFormat([](const TileKernel& kernel, WeightFormat format) {
    for (const size_t n_inputs : {1, 2, 9, 16}) {
      Case made = RandomCase(format, {19, 1280, n_inputs}, 1, 5);
      Compute(kernel, made.product);
      const std::vector<float> expected = made.outputs;
      made.outputs.assign(made.outputs.size(), -1.0f);
      // From the last one to the first.
      for (size_t i = n_inputs; i-- > 0;) {
        made.places.push_back({made.inputs.data() + i * made.product.input_stride,
                               made.outputs.data() + i * made.product.output_stride});
      }
      made.product.places = made.places.data();
      Compute(kernel, made.product);
      CHECK(made.outputs == expected);
    }
  });
}

TEST_CASE("threads share a product") {
  constexpr size_t kThreads = 3;
  ForEachFormat([](const TileKernel& kernel, WeightFormat format) {
    Case made = RandomCase(format, {50, 768, 18}, 0, 7);
    const size_t n_blocks = made.product.n_blocks;
    const size_t n_tiles = made.product.n_tiles();
    std::barrier packed(kThreads);
    std::vector<std::thread> threads;
    for (size_t t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        PackInputs(kernel, made.product, n_blocks * t / kThreads, n_blocks * (t + 1) / kThreads);
        packed.arrive_and_wait();
        MultiplyTiles(kernel, made.product, n_tiles * t / kThreads, n_tiles * (t + 1) / kThreads);
      });
    }
    for (std::thread& thread : threads) thread.join();
    CheckOutputs(made);
  });
}
