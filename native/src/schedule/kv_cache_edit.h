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
    // The host's memory gets what `id` holds, as `stored_id`.
    kStore,
    // `id`, which is empty, gets the first `n_tokens` of `stored_id`.
    kRestore,
    // The host's memory loses `stored_id`.
    kDiscard,
  };
  Kind kind = Kind::kClear;
  CacheId id = 0;
  CacheId source = -1;
  int32_t n_tokens = 0;
  // A StoredId.
  int64_t stored_id = 0;

  bool Changes(CacheId other) const {
    return id == other || (kind == Kind::kSwap && source == other);
  }
};
