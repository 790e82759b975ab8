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
#include <memory>
#include <utility>
#include <vector>

// Leaves what a vector grows by as it is: to set tens of megabytes to zero before they are written
// takes as long as writing them.
template <class Value>
struct AsItIs : std::allocator<Value> {
  template <class Other>
  struct rebind {
    using other = AsItIs<Other>;
  };
  template <class Other, class... Arguments>
  void construct(Other* at, Arguments&&... arguments) {
    if constexpr (sizeof...(Arguments) > 0) {
      std::construct_at(at, std::forward<Arguments>(arguments)...);
    }
  }
};

// To free one, assign CellBytes{}; {} alone keeps its memory.
using CellBytes = std::vector<uint8_t, AsItIs<uint8_t>>;

// What Restream may add.
constexpr size_t kMaxRestreamGrowth = 256 * sizeof(uint32_t);

// Rewrites `cells`, written by a context of a plain KV cache, for one of `n_streams`. False when
// they are not laid out as above; what they hold then is of no use.
bool Restream(uint32_t n_streams, CellBytes* cells);
