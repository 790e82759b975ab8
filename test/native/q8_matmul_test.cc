#include "kernels/q8_matmul.h"

#include <doctest.h>

#include <algorithm>
#include <barrier>
#include <cmath>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace {

// Of a normal half-precision float.
float ToFloat(uint16_t half) {
  const int exponent = (half >> 10 & 0x1f) - 15;
  return std::ldexp(1.0f + static_cast<float>(half & 0x3ff) / 1024.0f, exponent);
}

// A scale that depends on the block's first value, 2^-4 or up to 2^-1. The real one belongs to
// ggml.
void Quantize(const float* values, void* blocks, int64_t n_values) {
  auto* block = static_cast<Q8Block*>(blocks);
  for (; n_values > 0; n_values -= Q8Block::kValues, ++block, values += Q8Block::kValues) {
    const auto kind = static_cast<int>(std::fabs(values[0]) * 64) % 4;
    block->scale = static_cast<uint16_t>(0x2c00 + 0x400 * kind);
    for (size_t i = 0; i < Q8Block::kValues; ++i) {
      const long value = std::lround(values[i] / ToFloat(block->scale));
      block->values[i] = static_cast<int8_t>(std::clamp(value, -127l, 127l));
    }
  }
}

// A product, and all that it refers to. The memory ends where the product does, for the sanitizer.
struct Case {
  std::vector<Q8Block> weights;
  std::vector<float> inputs;
  std::vector<float> outputs;
  std::vector<std::byte> work;
  Q8Product product;
};

Case RandomCase(size_t n_rows, size_t n_blocks, size_t n_inputs, size_t padding, uint32_t seed) {
  std::mt19937 random(seed);
  std::uniform_int_distribution<int> scale(0x1c00, 0x3000);
  std::uniform_int_distribution<int> weight(-128, 127);
  std::uniform_real_distribution<float> input(-8, 8);
  const size_t row_stride = n_blocks + padding;
  const size_t input_stride = n_blocks * Q8Block::kValues + padding;
  Case made;
  made.weights.resize((n_rows - 1) * row_stride + n_blocks);
  for (Q8Block& block : made.weights) {
    block.scale = static_cast<uint16_t>(scale(random));
    for (int8_t& value : block.values) value = static_cast<int8_t>(weight(random));
  }
  made.inputs.resize(n_inputs * input_stride - padding);
  for (float& value : made.inputs) value = input(random);
  made.outputs.assign(n_inputs * (n_rows + padding) - padding, -1.0f);
  made.work.resize(Q8WorkBytes(n_blocks, n_inputs));
  made.product = {.weights = made.weights.data(),
                  .n_rows = n_rows,
                  .n_blocks = n_blocks,
                  .row_stride = row_stride,
                  .inputs = made.inputs.data(),
                  .n_inputs = n_inputs,
                  .input_stride = input_stride,
                  .outputs = made.outputs.data(),
                  .output_stride = n_rows + padding,
                  .work = made.work.data()};
  return made;
}

// Eight lanes of which each adds up four neighbours of every block, then the lanes: as vectors do
// it, one number at a time.
float Expected(const Case& made, size_t row, size_t input) {
  float lanes[8] = {};
  for (size_t b = 0; b < made.product.n_blocks; ++b) {
    const Q8Block& weights = made.weights[row * made.product.row_stride + b];
    Q8Block values;
    Quantize(made.inputs.data() + input * made.product.input_stride + b * Q8Block::kValues, &values,
             Q8Block::kValues);
    const float scale = ToFloat(weights.scale) * ToFloat(values.scale);
    for (size_t lane = 0; lane < 8; ++lane) {
      int sum = 0;
      for (size_t i = 4 * lane; i < 4 * lane + 4; ++i) sum += weights.values[i] * values.values[i];
      lanes[lane] = std::fma(scale, static_cast<float>(sum), lanes[lane]);
    }
  }
  float halves[4];
  for (size_t i = 0; i < 4; ++i) halves[i] = lanes[i + 4] + lanes[i];
  return (halves[0] + halves[2]) + (halves[1] + halves[3]);
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

// Every kernel this processor has; on one without any there is nothing to test.
template <typename Body>
void ForEachKernel(Body body) {
  for (const Q8Kernel* kernel : Q8Kernels()) {
    if (kernel == nullptr) break;
    CAPTURE(kernel->name);
    body(*kernel);
  }
}

}  // namespace

TEST_CASE("a product in Q8_0 is what it is lane by lane, to the last bit") {
  ForEachKernel([](const Q8Kernel& kernel) {
    uint32_t seed = 0;
    for (const size_t n_rows : {1, 7, 8, 9, 40}) {
      for (const size_t n_blocks : {1, 2, 18}) {
        for (const size_t n_inputs : {1, 2, 3, 4, 5, 6, 7, 8, 9, 17}) {
          for (const size_t padding : {0, 3}) {
            Case made = RandomCase(n_rows, n_blocks, n_inputs, padding, ++seed);
            PackQ8Inputs(made.product, Quantize, 0, n_blocks);
            MultiplyQ8Rows(kernel, made.product, 0, n_rows);
            CheckOutputs(made);
          }
        }
      }
    }
  });
}

TEST_CASE("a product in Q8_0 leaves what is between its outputs alone") {
  ForEachKernel([](const Q8Kernel& kernel) {
    Case made = RandomCase(5, 2, 4, 3, 1);
    PackQ8Inputs(made.product, Quantize, 0, 2);
    MultiplyQ8Rows(kernel, made.product, 1, 4);
    for (size_t i = 0; i < made.outputs.size(); ++i) {
      const size_t row = i % made.product.output_stride;
      if (row < 1 || row >= 4) CHECK(made.outputs[i] == -1.0f);
    }
  });
}

TEST_CASE("threads share a product in Q8_0") {
  constexpr size_t kThreads = 3;
  constexpr size_t kRows = 50;
  constexpr size_t kBlocks = 7;
  ForEachKernel([](const Q8Kernel& kernel) {
    Case made = RandomCase(kRows, kBlocks, 11, 0, 7);
    std::barrier packed(kThreads);
    std::vector<std::thread> threads;
    for (size_t t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        PackQ8Inputs(made.product, Quantize, kBlocks * t / kThreads, kBlocks * (t + 1) / kThreads);
        packed.arrive_and_wait();
        MultiplyQ8Rows(kernel, made.product, kRows * t / kThreads, kRows * (t + 1) / kThreads);
      });
    }
    for (std::thread& thread : threads) thread.join();
    CheckOutputs(made);
  });
}
