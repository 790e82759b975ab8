// Unpacked weights as the kernels for one instruction set write and read them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "kernels/tile_matmul.h"

// One block of each row of a tile.
struct alignas(64) TileBlock {
  // Of each row four values, then of each row the next four.
  std::array<int8_t, kTileRows * kBlockValues> values;
  // weight = scale * value - min, and min belongs to the first and second half of the block.
  std::array<float, kTileRows> scale;
  std::array<std::array<float, kTileRows>, 2> mins;
  // Where each half of a block has a scale of its own, twice for each row, it is scale *
  // half_scales.
  std::array<std::array<int16_t, 2 * kTileRows>, 2> half_scales;
};

// One block of each row of two tiles, for kernels of sixteen rows.
inline constexpr size_t kPairRows = 2 * kTileRows;
struct alignas(64) PairBlock {
  // Of each row four values, then of each row the next four.
  std::array<int8_t, kPairRows * kBlockValues> values;
  // As in a TileBlock.
  std::array<float, kPairRows> scale;
  std::array<std::array<float, kPairRows>, 2> mins;
  std::array<std::array<float, kPairRows>, 2> half_scales;
};

// What of a TileBlock counts, and how large its values are.
enum class TileKind : uint8_t {
  // 0 to 15; one scale, one min.
  kFourBits,
  // 0 to 31; the same.
  kFiveBits,
  // 0 to 63; a scale and a min for each half.
  kHalves,
  // -128 to 127; one scale, no min.
  kSigned,
};
inline constexpr size_t kNumTileKinds = 4;

inline constexpr std::array<TileKind, kNumQuantizedFormats> kTileKinds = {
    TileKind::kFourBits, TileKind::kFourBits, TileKind::kFiveBits, TileKind::kFiveBits,
    TileKind::kSigned,   TileKind::kHalves,   TileKind::kHalves,   TileKind::kFourBits,
    TileKind::kFiveBits, TileKind::kHalves,   TileKind::kSigned,   TileKind::kSigned,
    TileKind::kFiveBits,
};

// Inputs that meet a tile together. Of each block the values of all, then in arrays of their own
// the scales and the sums of the values.
struct InputGroup {
  size_t n_inputs;
  int8_t* values;
  float* scales;
  // scale * the sum of the values: of the block, and of its halves.
  float* sums;
  std::array<float*, 2> half_sums;
  // The sum alone.
  int32_t* integer_sums;
};

// Products of weights that are floats, which need no tile: a vector holds neighbours of a row.
struct FloatKernel {
  static constexpr size_t kMaxInputs = 4;

  // outputs[i][r] = rows[r] . inputs[i], of the rows of a tile.
  using Multiply = void (*)(const uint8_t* const* rows, size_t n_values, const float* const* inputs,
                            float* outputs, size_t output_stride);

  // How many inputs at a time are fastest.
  size_t group_size;
  // [format - kNumQuantizedFormats][inputs - 1]
  std::array<std::array<Multiply, kMaxInputs>, kNumFloatFormats> multiply;
};

extern const FloatKernel kAvx2Floats;
extern const FloatKernel kAvx512Floats;

// All products of one instruction set. Either every format of quantized weights has its functions,
// or none has.
struct TileKernel {
  // Unpacks `n_blocks` of eight rows. As many bytes from `next` on will be wanted next.
  using Unpack = void (*)(const uint8_t* const* rows, size_t n_blocks, const uint8_t* next,
                          TileBlock* tile);
  // Adds the products of a tile and a group, from block `first` of the group on, to outputs of
  // eight rows each, which `continues` says to hold what earlier blocks gave.
  using Multiply = void (*)(const TileBlock* tile, size_t n_blocks, const InputGroup& group,
                            size_t first, bool continues, float* outputs, size_t output_stride);
  // The same for so few inputs that a tile does not pay, at most kRowBlocks blocks at a time.
  using MultiplyRows = void (*)(const uint8_t* const* rows, size_t n_blocks,
                                const InputGroup& group, size_t first, bool continues,
                                float* outputs, size_t output_stride);
  // Quantizes one block of input `index` of the group.
  using Pack = void (*)(const float* values, size_t block, size_t index, const InputGroup& group);
  // Brings the blocks of two tiles together.
  using Join = void (*)(const TileBlock* tile, const TileBlock* next, size_t n_blocks,
                        PairBlock* pair);
  // As Multiply, with a pair of tiles and up to kMaxPairGroup inputs.
  using MultiplyPair = void (*)(const PairBlock* pair, size_t n_blocks, const InputGroup& group,
                                size_t first, bool continues, float* outputs, size_t output_stride);

  static constexpr size_t kMaxGroup = 6;
  static constexpr size_t kMaxPairGroup = 16;
  static constexpr size_t kMaxRowInputs = 2;
  static constexpr size_t kRowBlocks = 64;

  const char* name;
  std::array<Unpack, kNumQuantizedFormats> unpack = {};
  // [kind][inputs - 1]
  std::array<std::array<Multiply, kMaxGroup>, kNumTileKinds> multiply = {};
  // [format][inputs - 1]
  std::array<std::array<MultiplyRows, kMaxRowInputs>, kNumQuantizedFormats> multiply_rows = {};
  Pack pack = nullptr;
  const FloatKernel& floats;
  // From so many inputs on tiles are multiplied in pairs; 0: never.
  size_t min_pair_inputs = 0;
  Join join = nullptr;
  // [kind]
  std::array<MultiplyPair, kNumTileKinds> multiply_pair = {};

  bool TakesPairs(size_t n_inputs) const {
    return min_pair_inputs > 0 && n_inputs >= min_pair_inputs;
  }
};

extern const TileKernel kAvx2Tiles;
extern const TileKernel kVnniTiles;
// Floats alone.
extern const TileKernel kNeonProducts;
// Asks the kernel of the operating system for AMX; nullptr where the processor or the compiler
// lacks it.
const TileKernel* AmxTiles();
