// Limits of the contexts that decide how much memory they take. src/model estimates that memory
// before a context exists, so `addon.limits` exports them (node/addon.cc) and nothing else repeats
// their values.
#pragma once

#include <cstddef>
#include <cstdint>

// Sequences whose states a unified cache keeps in a model with recurrent layers: for each slot, and
// beside them. The others serve as cached prefixes. At most llama_max_parallel_sequences().
inline constexpr int32_t kStatesPerSlot = 2;
inline constexpr int32_t kSpareStates = 2;

// Bytes of cells that are moved or copied at once. They pass through a buffer, which must stay
// small beside the cache.
inline constexpr size_t kMaxMovedBytes = size_t{256} << 20;

// llama.cpp reserves the logits of every token that is embedded, once in its graph and once in the
// results, although nothing reads them. This is the maximum number of values in one of the two:
// 256 MiB.
inline constexpr int64_t kMaxEmbeddingLogits = 1 << 26;

// Sequence ids of an embedding context, which is also the minimum number of tokens in its batch:
// llama.cpp keeps an output for each id.
inline constexpr int32_t kEmbeddingSequences = 32;
