#include "kernels/tile_matmul.h"

#include <algorithm>
#include <cstring>

#include "kernels/platform.h"
#include "kernels/tile.h"

#ifdef HAVE_KERNELS

namespace {

// Vectors are loaded from aligned addresses.
constexpr size_t kAlignment = 32;

// Blocks of a tile at a time, so that it stays in the first cache beside a group of inputs.
constexpr size_t kTileBlocks = 32;

// Of inputs that meet weights which are floats, beside those weights in the second cache.
constexpr size_t kCachedInputBytes = 262144;

// Inputs are divided into groups of equal size, or one less.
struct Grouping {
  size_t n_inputs;
  size_t n_groups;

  Grouping(size_t n_all, size_t max_size)
      : n_inputs(n_all), n_groups((n_all + max_size - 1) / max_size) {}
  Grouping(const TileKernel& kernel, size_t n_all)
      : Grouping(n_all,
                 kernel.TakesPairs(n_all) ? TileKernel::kMaxPairGroup : TileKernel::kMaxGroup) {}
  size_t First(size_t group) const { return n_inputs * group / n_groups; }
};

InputGroup GroupAt(const TileProduct& product, const Grouping& grouping, size_t group) {
  const size_t first = grouping.First(group);
  const auto address = reinterpret_cast<uintptr_t>(product.work);
  std::byte* aligned = product.work + (kAlignment - address % kAlignment) % kAlignment;
  const size_t n_all = product.n_inputs * product.n_blocks;
  const size_t n_before = first * product.n_blocks;
  auto* floats = reinterpret_cast<float*>(aligned + n_all * kBlockValues) + n_before;
  return {
      .n_inputs = grouping.First(group + 1) - first,
      .values = reinterpret_cast<int8_t*>(aligned) + n_before * kBlockValues,
      .scales = floats,
      .sums = floats + n_all,
      .half_sums = {floats + 2 * n_all, floats + 3 * n_all},
      .integer_sums = reinterpret_cast<int32_t*>(floats + 4 * n_all),
  };
}

InputPlace PlaceOf(const TileProduct& product, size_t input) {
  if (product.places != nullptr) return product.places[input];
  return {product.inputs + input * product.input_stride,
          product.outputs + input * product.output_stride};
}

using RowPointers = std::array<const uint8_t*, kTileRows>;

const uint8_t* AddressOf(const TileProduct& product, size_t row, size_t block) {
  const FormatLayout& layout = LayoutOf(product.format);
  return reinterpret_cast<const uint8_t*>(product.weights) + row * product.row_bytes +
         block / layout.record_blocks * layout.record_bytes;
}

// Rows that the last tile lacks are its last one once more.
RowPointers RowsOf(const TileProduct& product, size_t tile, size_t block) {
  RowPointers rows;
  for (size_t r = 0; r < kTileRows; ++r) {
    rows[r] = AddressOf(product, std::min(tile * kTileRows + r, product.n_rows - 1), block);
  }
  return rows;
}

// The weights of the next tile, in the order of their addresses. Behind the last tile they are
// beyond the matrix, which no prefetch minds.
const uint8_t* NextOf(const TileProduct& product, size_t tile, size_t block) {
  const uint8_t* next = AddressOf(product, (tile + 1) * kTileRows, 0);
  return next + kTileRows * (AddressOf(product, 0, block) - AddressOf(product, 0, 0));
}

// Calls multiply(outputs, stride) with memory for kRows rows of each of the inputs: with the
// outputs themselves, or with a copy where they are fewer or not equally far apart.
template <size_t kRows, typename Multiply>
void ToOutputs(const TileProduct& product, size_t first_row, size_t end_row, size_t first,
               size_t n_inputs, bool continues, Multiply multiply) {
  const size_t n_rows = end_row - first_row;
  if (n_rows == kRows && product.places == nullptr) {
    multiply(PlaceOf(product, first).outputs + first_row, product.output_stride);
    return;
  }
  std::array<std::array<float, kRows>, TileKernel::kMaxPairGroup> copy;
  for (size_t i = 0; continues && i < n_inputs; ++i) {
    std::copy_n(PlaceOf(product, first + i).outputs + first_row, n_rows, copy[i].data());
  }
  multiply(copy[0].data(), kRows);
  for (size_t i = 0; i < n_inputs; ++i) {
    std::copy_n(copy[i].data(), n_rows, PlaceOf(product, first + i).outputs + first_row);
  }
}

size_t EndOf(const TileProduct& product, size_t tile) {
  return std::min((tile + 1) * kTileRows, product.n_rows);
}

// The rows of a tile, for so few inputs that it is not unpacked.
void MultiplyFew(const TileKernel& kernel, const TileProduct& product, size_t tile) {
  const auto format = static_cast<size_t>(product.format);
  const auto multiply = kernel.multiply_rows[format][product.n_inputs - 1];
  const InputGroup group = GroupAt(product, Grouping(kernel, product.n_inputs), 0);
  for (size_t b = 0; b < product.n_blocks; b += TileKernel::kRowBlocks) {
    const size_t n_blocks = std::min(TileKernel::kRowBlocks, product.n_blocks - b);
    const RowPointers rows = RowsOf(product, tile, b);
    ToOutputs<kTileRows>(product, tile * kTileRows, EndOf(product, tile), 0, group.n_inputs, b > 0,
                         [&](float* outputs, size_t stride) {
                           multiply(rows.data(), n_blocks, group, b, b > 0, outputs, stride);
                         });
  }
}

void MultiplyTile(const TileKernel& kernel, const TileProduct& product, size_t tile) {
  const auto format = static_cast<size_t>(product.format);
  const auto& multiply = kernel.multiply[static_cast<size_t>(kTileKinds[format])];
  const Grouping grouping(kernel, product.n_inputs);
  alignas(64) std::array<TileBlock, kTileBlocks> unpacked;
  for (size_t b = 0; b < product.n_blocks; b += kTileBlocks) {
    const size_t n_blocks = std::min(kTileBlocks, product.n_blocks - b);
    kernel.unpack[format](RowsOf(product, tile, b).data(), n_blocks, NextOf(product, tile, b),
                          unpacked.data());
    for (size_t g = 0; g < grouping.n_groups; ++g) {
      const InputGroup group = GroupAt(product, grouping, g);
      ToOutputs<kTileRows>(product, tile * kTileRows, EndOf(product, tile), grouping.First(g),
                           group.n_inputs, b > 0, [&](float* outputs, size_t stride) {
                             multiply[group.n_inputs - 1](unpacked.data(), n_blocks, group, b,
                                                          b > 0, outputs, stride);
                           });
    }
  }
}

// Two tiles, the second of which is the first once more where it is not below `end`.
void MultiplyPair(const TileKernel& kernel, const TileProduct& product, size_t tile, size_t end) {
  const auto format = static_cast<size_t>(product.format);
  const auto multiply = kernel.multiply_pair[static_cast<size_t>(kTileKinds[format])];
  const Grouping grouping(kernel, product.n_inputs);
  const size_t last = std::min(tile + 1, end - 1);
  alignas(64) std::array<std::array<TileBlock, kTileBlocks>, 2> unpacked;
  alignas(64) std::array<PairBlock, kTileBlocks> pair;
  for (size_t b = 0; b < product.n_blocks; b += kTileBlocks) {
    const size_t n_blocks = std::min(kTileBlocks, product.n_blocks - b);
    for (size_t each = tile; each <= last; ++each) {
      kernel.unpack[format](RowsOf(product, each, b).data(), n_blocks, NextOf(product, last, b),
                            unpacked[each - tile].data());
    }
    kernel.join(unpacked[0].data(), unpacked[last - tile].data(), n_blocks, pair.data());
    for (size_t g = 0; g < grouping.n_groups; ++g) {
      const InputGroup group = GroupAt(product, grouping, g);
      ToOutputs<kPairRows>(product, tile * kTileRows, EndOf(product, last), grouping.First(g),
                           group.n_inputs, b > 0, [&](float* outputs, size_t stride) {
                             multiply(pair.data(), n_blocks, group, b, b > 0, outputs, stride);
                           });
    }
  }
}

// As many inputs as stay in the second cache meet all rows before the next ones do.
void MultiplyFloats(const TileKernel& kernel, const TileProduct& product, size_t first,
                    size_t end) {
  const FloatKernel& floats = kernel.floats;
  const auto& multiply =
      floats.multiply[static_cast<size_t>(product.format) - kNumQuantizedFormats];
  const size_t n_values = product.n_blocks * kBlockValues;
  const size_t n_cached =
      std::max(kCachedInputBytes / (n_values * sizeof(float)), floats.group_size);
  const Grouping cached(product.n_inputs, n_cached);
  for (size_t c = 0; c < cached.n_groups; ++c) {
    const size_t first_input = cached.First(c);
    const Grouping grouping(cached.First(c + 1) - first_input, floats.group_size);
    for (size_t tile = first; tile < end; ++tile) {
      const RowPointers rows = RowsOf(product, tile, 0);
      for (size_t g = 0; g < grouping.n_groups; ++g) {
        const size_t n_inputs = grouping.First(g + 1) - grouping.First(g);
        const size_t i = first_input + grouping.First(g);
        std::array<const float*, FloatKernel::kMaxInputs> inputs;
        for (size_t n = 0; n < n_inputs; ++n) inputs[n] = PlaceOf(product, i + n).values;
        ToOutputs<kTileRows>(product, tile * kTileRows, EndOf(product, tile), i, n_inputs, false,
                             [&](float* outputs, size_t stride) {
                               multiply[n_inputs - 1](rows.data(), n_values, inputs.data(), outputs,
                                                      stride);
                             });
      }
    }
  }
}

#ifdef KERNELS_X86

// Every processor with these has F16C, for which older compilers have no name here.
bool HasAvx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

bool HasVnni() {
  return HasAvx2() && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vnni");
}

}  // namespace

std::vector<const TileKernel*> TileKernels() {
  std::vector<const TileKernel*> kernels;
  if (HasVnni() && AmxTiles() != nullptr) kernels.push_back(AmxTiles());
  if (HasVnni()) kernels.push_back(&kVnniTiles);
  if (HasAvx2()) kernels.push_back(&kAvx2Tiles);
  return kernels;
}

#else

}  // namespace

std::vector<const TileKernel*> TileKernels() { return {&kNeonProducts}; }

#endif

const char* NameOf(const TileKernel& kernel) { return kernel.name; }

bool Multiplies(const TileKernel& kernel, WeightFormat format) {
  return !IsQuantized(format) || kernel.unpack[static_cast<size_t>(format)] != nullptr;
}

size_t TileWorkBytes(size_t n_blocks, size_t n_inputs) {
  return kAlignment + n_inputs * n_blocks * (kBlockValues + 5 * sizeof(float));
}

void PackInputs(const TileKernel& kernel, const TileProduct& product, size_t first, size_t end) {
  if (!IsQuantized(product.format)) return;
  const Grouping grouping(kernel, product.n_inputs);
  for (size_t g = 0; g < grouping.n_groups; ++g) {
    const InputGroup group = GroupAt(product, grouping, g);
    const size_t first_input = grouping.First(g);
    for (size_t i = 0; i < group.n_inputs; ++i) {
      const float* input = PlaceOf(product, first_input + i).values;
      for (size_t b = first; b < end; ++b) kernel.pack(input + b * kBlockValues, b, i, group);
    }
  }
}

void MultiplyTiles(const TileKernel& kernel, const TileProduct& product, size_t first, size_t end) {
  if (!IsQuantized(product.format)) {
    MultiplyFloats(kernel, product, first, end);
    return;
  }
  if (kernel.TakesPairs(product.n_inputs)) {
    for (size_t tile = first; tile < end; tile += 2) MultiplyPair(kernel, product, tile, end);
    return;
  }
  const bool is_few = product.n_inputs <= TileKernel::kMaxRowInputs;
  for (size_t tile = first; tile < end; ++tile) {
    if (is_few) {
      MultiplyFew(kernel, product, tile);
    } else {
      MultiplyTile(kernel, product, tile);
    }
  }
}

#else

std::vector<const TileKernel*> TileKernels() { return {}; }
const char* NameOf(const TileKernel&) { return ""; }
bool Multiplies(const TileKernel&, WeightFormat) { return false; }
size_t TileWorkBytes(size_t, size_t) { return 0; }
void PackInputs(const TileKernel&, const TileProduct&, size_t, size_t) {}
void MultiplyTiles(const TileKernel&, const TileProduct&, size_t, size_t) {}

#endif
