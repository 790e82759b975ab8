// The cells of one sequence in a KV cache, as llama.cpp writes them (llama_state_seq_get_data), for
// contexts with different numbers of streams. Bytes only: no llama.cpp.
//
//   magic, sequence id, number of streams, then for each stream its number of cells and, where
//   there are any, the cells. All numbers have 32 bits. A sequence lies in one stream.
//
// The layout is the one of the pinned release (llama_kv_cache::state_write). BackgroundContext
// tests it before relying on it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "core/own_pages.h"

// Tens of megabytes that come and go: in pages of their own, and new elements are left
// uninitialized, because setting them to zero before they are written takes as long as writing
// them.
template <class Value>
struct LargeArray : std::allocator<Value> {
  template <class Other>
  struct rebind {
    using other = LargeArray<Other>;
  };
  Value* allocate(size_t n) { return static_cast<Value*>(AllocatePages(n * sizeof(Value))); }
  void deallocate(Value* pages, size_t n) { FreePages(pages, n * sizeof(Value)); }
  template <class Other, class... Arguments>
  void construct(Other* at, Arguments&&... arguments) {
    if constexpr (sizeof...(Arguments) > 0) {
      std::construct_at(at, std::forward<Arguments>(arguments)...);
    }
  }
};

// To free one, assign CellBytes{}; {} alone keeps its memory.
using CellBytes = std::vector<uint8_t, LargeArray<uint8_t>>;

// Bytes that Restream may add.
constexpr size_t kMaxRestreamGrowth = 256 * sizeof(uint32_t);

// Rewrites `cells`, written by a context of a plain KV cache, for one of `n_streams`. False when
// they have another layout than above; their content is then undefined.
bool Restream(uint32_t n_streams, CellBytes* cells);
