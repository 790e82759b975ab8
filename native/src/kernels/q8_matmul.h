// Products of a matrix in Q8_0 and a few rows of floats: what a decode of a few sequences is made
// of.
//
// ggml has two kernels for it on x86. Its dot product reads the weights once for each input. From
// two inputs on tinyBLAS computes tiles of 4 x 4, and reads four rows at a time; then the processor
// no longer sees that the weights are one long stream, and waits for memory instead of fetching
// ahead. This one reads the stream once, for up to 8 inputs. It adds up in the order of both, so
// every result is theirs, bit for bit (docs/decisions/0017-cpu-kernels.md).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

// ggml's block_q8_0: 32 values of a row and their scale, a half-precision float.
struct Q8Block {
  static constexpr size_t kValues = 32;
  uint16_t scale;
  std::array<int8_t, kValues> values;
};
static_assert(sizeof(Q8Block) == 34);

// ggml_from_float_t of Q8_0: writes n_values / 32 blocks.
using QuantizeQ8 = void (*)(const float* values, void* blocks, int64_t n_values);

// outputs[i][r] = weights[r] . inputs[i]
struct Q8Product {
  const Q8Block* weights;
  size_t n_rows;
  size_t n_blocks;    // of a row of weights, and of an input
  size_t row_stride;  // blocks from a row to the next
  const float* inputs;
  size_t n_inputs;
  size_t input_stride;  // floats
  float* outputs;
  size_t output_stride;  // floats
  std::byte* work;       // Q8WorkBytes() of them, shared by all threads
};

// Multiplies a row of weights with so many inputs, which lie block by block, side by side.
using Q8RowKernel = void (*)(const Q8Block* row, size_t n_blocks, const int8_t* values,
                             const float* scales, float* outputs, size_t output_stride);

struct Q8Kernel {
  static constexpr size_t kGroup = 8;
  const char* name;  // of the instruction set
  // With more inputs ggml's tiles are as fast: measured, see docs/performance.md.
  size_t n_max_inputs;
  std::array<Q8RowKernel, kGroup> for_inputs;  // [n - 1]
};

// The kernels this processor has, fastest first, and nullptr behind them.
std::array<const Q8Kernel*, 3> Q8Kernels();

size_t Q8WorkBytes(size_t n_blocks, size_t n_inputs);

// Quantizes blocks [first, end) of every input into `work`. Threads may share the blocks among
// them; all have to be done before anyone multiplies.
void PackQ8Inputs(const Q8Product& product, QuantizeQ8 quantize, size_t first, size_t end);

// Computes what belongs to rows [first, end) of the weights.
void MultiplyQ8Rows(const Q8Kernel& kernel, const Q8Product& product, size_t first, size_t end);
