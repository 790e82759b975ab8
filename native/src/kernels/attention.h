// Attention over a KV cache in 16-bit floats.
//
// Every row (a query of one head) reads the cells in tiles of kTileCells, keeps what it has read of
// a span of kSpanCells as a weighted sum, and adds up the spans in their order. Neither the rows
// that are computed with it nor the number of threads change a row's result: see README.md.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "kernels/lanes.h"

inline constexpr size_t kTileCells = 64;
inline constexpr size_t kSpanCells = 256;

// Distances between elements, in elements.
struct HeadStrides {
  size_t position;  // of a token or a cell
  size_t head;
  size_t stream;
};

// outputs[t][h] = sum over cells of softmax(scale * query[t][h] . key[c] + mask[t][c])[c] *
// value[c], where n_heads / n_kv_heads heads share the keys and values of one.
struct Attention {
  size_t n_streams;
  size_t n_tokens;  // of each stream
  size_t n_cells;   // of each stream, a multiple of kTileCells
  size_t n_heads;
  size_t n_kv_heads;
  size_t key_size;    // a multiple of kLanes
  size_t value_size;  // a multiple of kLanes
  float scale;
  const float* queries;
  HeadStrides query_strides;
  const uint16_t* keys;
  HeadStrides key_strides;
  const uint16_t* values;
  HeadStrides value_strides;
  // What is added to the score of a token and a cell, minus infinity for cells that a token does
  // not see; nullptr if it sees all. Cells lie side by side; has no heads.
  const uint16_t* mask;
  HeadStrides mask_strides;
  // Of each head a score that takes its part of the softmax without a value; nullptr if there are
  // none.
  const float* sinks;
  // [stream][token][head][value]
  float* outputs;
  std::byte* work;  // AttentionWorkBytes() of them, shared by all threads
};

struct AttentionKernel;

// The kernels this processor has, fastest first, and nullptr behind them.
std::array<const AttentionKernel*, 3> AttentionKernels();
const char* NameOf(const AttentionKernel& kernel);

size_t AttentionWorkBytes(const Attention& attention, size_t n_threads);

// How many pieces there are for threads to share.
size_t NumPieces(const Attention& attention, size_t n_threads);

// Computes one piece. No two threads may have the same number at a time.
void AttendPiece(const AttentionKernel& kernel, const Attention& attention, size_t n_threads,
                 size_t thread, size_t piece);

// True if the pieces are parts of rows, so that, once all of them are done, MergeRows has to be
// called.
bool HavePartialRows(const Attention& attention, size_t n_threads);

// Completes one of `n_parts` equal parts of the rows.
void MergeRows(const AttentionKernel& kernel, const Attention& attention, size_t n_threads,
               size_t part, size_t n_parts);
