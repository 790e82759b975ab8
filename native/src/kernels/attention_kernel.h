// The inner functions of attention, which exist for each instruction set.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

// What a row has read so far: weights relative to exp(maximum).
struct WeightedSum {
  float maximum;
  float weight;
  float* values;  // the sum of weight * value
};

struct AttentionRow {
  const float* query;    // times the scale
  const uint16_t* mask;  // of the tile's first cell; nullptr if all are visible
  WeightedSum* sum;
};

// The keys and values of kTileCells cells, as they are in the cache or as floats.
struct CellTile {
  const void* keys;
  size_t key_stride;  // elements
  const void* values;
  size_t value_stride;  // elements
  size_t key_size;
  size_t value_size;
};

struct AttentionKernel {
  static constexpr size_t kMaxRows = 4;

  using Attend = void (*)(const CellTile& tile, const AttentionRow* rows);

  const char* name;
  // [rows - 1]; adds what the rows see of a tile to their sums.
  std::array<Attend, kMaxRows> attend_halves;
  std::array<Attend, kMaxRows> attend_floats;
  // `count` is a multiple of kLanes.
  void (*widen)(const uint16_t* halves, size_t count, float* floats);
  void (*scale)(const float* from, size_t count, float factor, float* to);
  // Adds `part` to `total`, `size` values each.
  void (*merge)(const WeightedSum& part, size_t size, WeightedSum* total);
  // True if the mask hides all of kTileCells cells.
  bool (*hides_all)(const uint16_t* mask);
};

extern const AttentionKernel kAvx2Attention;
extern const AttentionKernel kAvx512Attention;
extern const AttentionKernel kNeonAttention;
