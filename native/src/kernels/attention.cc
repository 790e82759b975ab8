#include "kernels/attention.h"

#include <algorithm>
#include <limits>
#include <memory>

#include "kernels/attention_kernel.h"
#include "kernels/platform.h"

#ifdef HAVE_KERNELS

namespace {

constexpr WeightedSum kNothing = {-std::numeric_limits<float>::infinity(), 0, nullptr};

// Rows that read a tile of cells while it is in the cache.
constexpr size_t kTileRows = 64;
// From so many rows on, a tile is converted to floats once instead of by every block of rows.
constexpr size_t kMinRowsOfFloats = 3 * AttentionKernel::kMaxRows;
// Rows are cut into spans where there are fewer tiles of rows than this for each thread, and the
// sums of all spans take no more memory than this.
constexpr size_t kTilesPerThread = 4;
constexpr size_t kMaxPartialBytes = 32 << 20;

size_t DivideUp(size_t a, size_t b) { return (a + b - 1) / b; }

size_t GroupSize(const Attention& attention) { return attention.n_heads / attention.n_kv_heads; }
// Rows that read the same keys and values: of each token the heads of a group.
size_t RowsPerHead(const Attention& attention) { return attention.n_tokens * GroupSize(attention); }
size_t TilesPerHead(const Attention& attention) {
  return DivideUp(RowsPerHead(attention), kTileRows);
}
size_t NumRowTiles(const Attention& attention) {
  return attention.n_streams * attention.n_kv_heads * TilesPerHead(attention);
}
size_t NumRows(const Attention& attention) {
  return attention.n_streams * attention.n_kv_heads * RowsPerHead(attention);
}
size_t NumSpans(const Attention& attention) { return DivideUp(attention.n_cells, kSpanCells); }

size_t PartialBytes(const Attention& attention) {
  return NumRows(attention) * NumSpans(attention) *
         (attention.value_size * sizeof(float) + sizeof(WeightedSum));
}

// Rows of one KV head, [first, end) of its rows.
struct RowTile {
  size_t stream;
  size_t kv_head;
  size_t first;
  size_t end;
};

RowTile RowTileAt(const Attention& attention, size_t index) {
  const size_t n_rows = RowsPerHead(attention);
  const size_t head = index / TilesPerHead(attention);
  const size_t first = index % TilesPerHead(attention) * kTileRows;
  return {head / attention.n_kv_heads, head % attention.n_kv_heads, first,
          std::min(first + kTileRows, n_rows)};
}

struct Place {
  size_t token;
  size_t head;
};

Place PlaceOf(const Attention& attention, const RowTile& rows, size_t row) {
  const size_t group = GroupSize(attention);
  return {row / group, rows.kv_head * group + row % group};
}

size_t Offset(const HeadStrides& strides, size_t position, size_t head, size_t stream) {
  return position * strides.position + head * strides.head + stream * strides.stream;
}

float* OutputOf(const Attention& attention, size_t stream, Place place) {
  const size_t token = stream * attention.n_tokens + place.token;
  return attention.outputs + (token * attention.n_heads + place.head) * attention.value_size;
}

// What a thread needs for itself.
struct ThreadMemory {
  float* queries;
  float* parts;
  float* totals;
  float* keys;
  float* values;
  float* zeros;
};

size_t FloatsPerThread(const Attention& attention) {
  return (kTileRows + kTileCells) * attention.key_size +
         (2 * kTileRows + kTileCells + 1) * attention.value_size;
}

// Behind the memory of the threads: of each row and span what the row has read of it.
struct PartialRows {
  WeightedSum* sums;
  float* values;
};

PartialRows PartialRowsOf(const Attention& attention, size_t n_threads) {
  auto* values = reinterpret_cast<float*>(attention.work) + n_threads * FloatsPerThread(attention);
  const size_t n_values = NumRows(attention) * NumSpans(attention) * attention.value_size;
  return {reinterpret_cast<WeightedSum*>(values + n_values), values};
}

ThreadMemory MemoryOf(const Attention& attention, size_t thread) {
  float* queries = reinterpret_cast<float*>(attention.work) + thread * FloatsPerThread(attention);
  float* parts = queries + kTileRows * attention.key_size;
  float* totals = parts + kTileRows * attention.value_size;
  float* keys = totals + kTileRows * attention.value_size;
  float* values = keys + kTileCells * attention.key_size;
  return {queries, parts, totals, keys, values, values + kTileCells * attention.value_size};
}

// Sets `n_rows` sums to nothing, with memory for their values.
void Clear(const Attention& attention, size_t n_rows, float* values, WeightedSum* sums) {
  std::fill_n(values, n_rows * attention.value_size, 0.0f);
  for (size_t r = 0; r < n_rows; ++r) {
    sums[r] = kNothing;
    sums[r].values = values + r * attention.value_size;
  }
}

void ScaleQueries(const AttentionKernel& kernel, const Attention& attention, const RowTile& rows,
                  float* queries) {
  for (size_t row = rows.first; row < rows.end; ++row, queries += attention.key_size) {
    const Place place = PlaceOf(attention, rows, row);
    kernel.scale(
        attention.queries + Offset(attention.query_strides, place.token, place.head, rows.stream),
        attention.key_size, attention.scale, queries);
  }
}

// The rows that see any of the cells from `cell` on.
size_t FindRows(const AttentionKernel& kernel, const Attention& attention, const RowTile& rows,
                size_t cell, const float* queries, WeightedSum* sums, AttentionRow* found) {
  const size_t group = GroupSize(attention);
  size_t n_found = 0;
  for (size_t row = rows.first; row < rows.end;) {
    const size_t token = row / group;
    const size_t end = std::min((token + 1) * group, rows.end);
    const uint16_t* mask = nullptr;
    if (attention.mask != nullptr) {
      mask = attention.mask + Offset(attention.mask_strides, token, 0, rows.stream) + cell;
    }
    if (mask == nullptr || !kernel.hides_all(mask)) {
      for (size_t r = row - rows.first; r < end - rows.first; ++r) {
        found[n_found++] = {queries + r * attention.key_size, mask, sums + r};
      }
    }
    row = end;
  }
  return n_found;
}

CellTile TileAt(const Attention& attention, const RowTile& rows, size_t cell) {
  return {
      .keys = attention.keys + Offset(attention.key_strides, cell, rows.kv_head, rows.stream),
      .key_stride = attention.key_strides.position,
      .values = attention.values + Offset(attention.value_strides, cell, rows.kv_head, rows.stream),
      .value_stride = attention.value_strides.position,
      .key_size = attention.key_size,
      .value_size = attention.value_size,
  };
}

CellTile Widened(const AttentionKernel& kernel, const CellTile& tile, const ThreadMemory& memory) {
  const auto* keys = static_cast<const uint16_t*>(tile.keys);
  const auto* values = static_cast<const uint16_t*>(tile.values);
  for (size_t c = 0; c < kTileCells; ++c) {
    kernel.widen(keys + c * tile.key_stride, tile.key_size, memory.keys + c * tile.key_size);
    kernel.widen(values + c * tile.value_stride, tile.value_size,
                 memory.values + c * tile.value_size);
  }
  CellTile widened = tile;
  widened.keys = memory.keys;
  widened.key_stride = tile.key_size;
  widened.values = memory.values;
  widened.value_stride = tile.value_size;
  return widened;
}

// Adds what the rows see of a span to their sums.
void AttendSpan(const AttentionKernel& kernel, const Attention& attention, const RowTile& rows,
                size_t span, const ThreadMemory& memory, WeightedSum* sums) {
  std::array<AttentionRow, kTileRows> found;
  const size_t end = std::min((span + 1) * kSpanCells, attention.n_cells);
  for (size_t cell = span * kSpanCells; cell < end; cell += kTileCells) {
    const size_t n_found =
        FindRows(kernel, attention, rows, cell, memory.queries, sums, found.data());
    if (n_found == 0) continue;
    const bool are_floats = n_found >= kMinRowsOfFloats;
    CellTile tile = TileAt(attention, rows, cell);
    if (are_floats) tile = Widened(kernel, tile, memory);
    const auto& attend = are_floats ? kernel.attend_floats : kernel.attend_halves;
    for (size_t r = 0; r < n_found; r += AttentionKernel::kMaxRows) {
      attend[std::min(AttentionKernel::kMaxRows, n_found - r) - 1](tile, found.data() + r);
    }
  }
}

// Divides by the weights, to which the head's sink adds its own.
void Finish(const AttentionKernel& kernel, const Attention& attention, size_t stream, Place place,
            float* zeros, WeightedSum* total) {
  if (attention.sinks != nullptr) {
    std::fill_n(zeros, attention.value_size, 0.0f);
    kernel.merge({attention.sinks[place.head], 1, zeros}, attention.value_size, total);
  }
  const float factor = total->weight == 0 ? 0 : 1 / total->weight;
  kernel.scale(total->values, attention.value_size, factor, OutputOf(attention, stream, place));
}

void AttendWholeRows(const AttentionKernel& kernel, const Attention& attention, const RowTile& rows,
                     const ThreadMemory& memory) {
  const size_t n_rows = rows.end - rows.first;
  std::array<WeightedSum, kTileRows> parts;
  std::array<WeightedSum, kTileRows> totals;
  Clear(attention, n_rows, memory.totals, totals.data());
  for (size_t span = 0; span < NumSpans(attention); ++span) {
    Clear(attention, n_rows, memory.parts, parts.data());
    AttendSpan(kernel, attention, rows, span, memory, parts.data());
    for (size_t r = 0; r < n_rows; ++r) kernel.merge(parts[r], attention.value_size, &totals[r]);
  }
  for (size_t r = 0; r < n_rows; ++r) {
    const Place place = PlaceOf(attention, rows, rows.first + r);
    Finish(kernel, attention, rows.stream, place, memory.zeros, &totals[r]);
  }
}

}  // namespace

std::array<const AttentionKernel*, 3> AttentionKernels() {
#ifdef KERNELS_NEON
  return {&kNeonAttention, nullptr, nullptr};
#else
  // Every processor with these has F16C, for which older compilers have no name here.
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return {};
  if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq")) {
    return {&kAvx512Attention, &kAvx2Attention, nullptr};
  }
  return {&kAvx2Attention, nullptr, nullptr};
#endif
}

const char* NameOf(const AttentionKernel& kernel) { return kernel.name; }

bool HavePartialRows(const Attention& attention, size_t n_threads) {
  return NumSpans(attention) > 1 && NumRowTiles(attention) < kTilesPerThread * n_threads &&
         PartialBytes(attention) <= kMaxPartialBytes;
}

size_t AttentionWorkBytes(const Attention& attention, size_t n_threads) {
  const size_t own = n_threads * FloatsPerThread(attention) * sizeof(float);
  if (!HavePartialRows(attention, n_threads)) return own;
  return own + PartialBytes(attention);
}

size_t NumPieces(const Attention& attention, size_t n_threads) {
  const size_t n_spans = HavePartialRows(attention, n_threads) ? NumSpans(attention) : 1;
  return NumRowTiles(attention) * n_spans;
}

void AttendPiece(const AttentionKernel& kernel, const Attention& attention, size_t n_threads,
                 size_t thread, size_t piece) {
  const ThreadMemory memory = MemoryOf(attention, thread);
  if (!HavePartialRows(attention, n_threads)) {
    const RowTile rows = RowTileAt(attention, piece);
    ScaleQueries(kernel, attention, rows, memory.queries);
    AttendWholeRows(kernel, attention, rows, memory);
    return;
  }
  const size_t n_spans = NumSpans(attention);
  const size_t span = piece % n_spans;
  const RowTile rows = RowTileAt(attention, piece / n_spans);
  ScaleQueries(kernel, attention, rows, memory.queries);
  // Of each span all rows, one behind the other.
  const size_t head = rows.stream * attention.n_kv_heads + rows.kv_head;
  const size_t first = span * NumRows(attention) + head * RowsPerHead(attention) + rows.first;
  const PartialRows partial = PartialRowsOf(attention, n_threads);
  WeightedSum* sums = partial.sums + first;
  Clear(attention, rows.end - rows.first, partial.values + first * attention.value_size, sums);
  AttendSpan(kernel, attention, rows, span, memory, sums);
}

void MergeRows(const AttentionKernel& kernel, const Attention& attention, size_t n_threads,
               size_t part, size_t n_parts) {
  const size_t n_rows = NumRows(attention);
  const PartialRows partial = PartialRowsOf(attention, n_threads);
  const ThreadMemory memory = MemoryOf(attention, part);
  for (size_t row = n_rows * part / n_parts; row < n_rows * (part + 1) / n_parts; ++row) {
    WeightedSum total;
    Clear(attention, 1, memory.totals, &total);
    for (size_t span = 0; span < NumSpans(attention); ++span) {
      kernel.merge(partial.sums[span * n_rows + row], attention.value_size, &total);
    }
    const size_t head = row / RowsPerHead(attention);
    const RowTile rows = {head / attention.n_kv_heads, head % attention.n_kv_heads, 0, 0};
    const Place place = PlaceOf(attention, rows, row % RowsPerHead(attention));
    Finish(kernel, attention, rows.stream, place, memory.zeros, &total);
  }
}

#else

std::array<const AttentionKernel*, 3> AttentionKernels() { return {}; }
const char* NameOf(const AttentionKernel&) { return ""; }
size_t AttentionWorkBytes(const Attention&, size_t) { return 0; }
size_t NumPieces(const Attention&, size_t) { return 0; }
void AttendPiece(const AttentionKernel&, const Attention&, size_t, size_t, size_t) {}
bool HavePartialRows(const Attention&, size_t) { return false; }
void MergeRows(const AttentionKernel&, const Attention&, size_t, size_t, size_t) {}

#endif
