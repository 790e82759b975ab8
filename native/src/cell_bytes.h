// What a KV cache holds of one sequence, as llama.cpp writes it (llama_state_seq_get_data), for
// contexts that have a different number of streams. Bytes only: no llama.cpp.
//
//   magic, sequence id, number of streams, then for each stream its number of cells and, where
//   there are any, the cells. All numbers have 32 bits. A sequence lies in one stream.
//
// The layout is that of the pinned release (llama_kv_cache::state_write); PromptLane tries it out
// before it relies on it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

using CellBytes = std::vector<uint8_t>;

// What Restream may add.
constexpr size_t kMostRestreamGrowth = 256 * sizeof(uint32_t);

// Rewrites `cells`, written by a context of a plain KV cache, for one of `n_streams`. False when
// they are not laid out as above; what they hold then is of no use.
bool Restream(uint32_t n_streams, CellBytes* cells);
