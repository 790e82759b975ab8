// Products of a matrix of quantized weights and rows of floats.
//
// Eight rows of weights become a tile: their values as bytes, four of each row side by side, with
// their scales as floats. A tile stays in the first cache while all inputs meet it, so the weights
// are read and unpacked once, whatever their format. Every lane of a vector belongs to one row, and
// adds up block by block: an output does not depend on how many inputs are computed with it
// (docs/decisions/0026-tiled-products.md).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/weight_format.h"

// Rows of a tile.
inline constexpr size_t kTileRows = 8;

// Where an input is, and where its outputs go.
struct InputPlace {
  const float* values;
  float* outputs;
};

// outputs[i][r] = weights[r] . inputs[i]
struct TileProduct {
  WeightFormat format;
  const std::byte* weights;
  size_t n_rows;
  size_t n_blocks;   // of a row of weights, and of an input
  size_t row_bytes;  // from a row to the next
  size_t n_inputs;
  // Either each input has a place, or all are equally far apart.
  const InputPlace* places = nullptr;
  const float* inputs = nullptr;
  size_t input_stride = 0;  // floats
  float* outputs = nullptr;
  size_t output_stride = 0;  // floats
  std::byte* work;           // TileWorkBytes() of them, shared by all threads

  size_t n_tiles() const { return (n_rows + kTileRows - 1) / kTileRows; }
};

struct TileKernel;

// The kernels this processor has, fastest first.
std::vector<const TileKernel*> TileKernels();
// The name of the instruction set.
const char* NameOf(const TileKernel& kernel);
// False for quantized weights where the kernel has none.
bool Multiplies(const TileKernel& kernel, WeightFormat format);

size_t TileWorkBytes(size_t n_blocks, size_t n_inputs);

// Quantizes blocks [first, end) of every input into `work`, 8 bits a value and a scale for each
// block. Threads may share the blocks among them; all have to be done before anyone multiplies.
void PackInputs(const TileKernel& kernel, const TileProduct& product, size_t first, size_t end);

// Computes what belongs to the tiles [first, end) of the weights.
void MultiplyTiles(const TileKernel& kernel, const TileProduct& product, size_t first, size_t end);
