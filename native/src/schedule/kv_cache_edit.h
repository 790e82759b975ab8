// An edit of the KV cache: PrefixCache decides it, Context applies it (llama/context_kv_cache.cc).
#pragma once

#include <cstdint>

// A llama_seq_id.
using CacheId = int32_t;

struct CacheEdit {
  enum class Kind {
    // `id`, which is empty, gets the first `n_tokens` of `source`.
    kCopy,
    // `id` loses everything from token `n_tokens` on.
    kCut,
    // `id` loses everything.
    kClear,
    // `id` and `source`, of which neither is empty, change what they hold.
    kSwap,
  };
  Kind kind = Kind::kClear;
  CacheId id = 0;
  CacheId source = -1;
  int32_t n_tokens = 0;
};
