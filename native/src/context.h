// The llama_context of the engine and the batch it computes. Built, used and destroyed on the
// engine thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>

#include "compute_threads.h"
#include "llama-cpp.h"
#include "llama.h"
#include "prefix_cache.h"
#include "token_batch.h"

// How sequences share the KV cache (docs/decisions/0007-prefix-cache.md).
enum class KvLayout {
  // One cache for all: what two sequences have in common is there once, and finished prefixes use
  // what running sequences leave free.
  kUnified,
  // A part of its own for every slot, where there is room for that; a common prefix is copied.
  kSplit,
};

struct ContextOptions {
  llama_model* model = nullptr;
  int32_t n_slots = 1;
  // Tokens one sequence may have.
  int32_t n_ctx = 0;
  // Cells all sequences share. With less than n_ctx for every slot they compete for them, and the
  // layout is unified whatever was asked for.
  int32_t n_kv_tokens = 0;
  KvLayout kv_layout = KvLayout::kUnified;
  int32_t n_batch = 2048;
  int32_t n_ubatch = 512;
  int32_t n_threads = 1;
  // ggml's busy-wait between graphs, 0 (sleep at once) to 100.
  uint32_t poll = 0;
  llama_flash_attn_type flash_attention = LLAMA_FLASH_ATTN_TYPE_AUTO;
  ggml_type cache_type_k = GGML_TYPE_F16;
  ggml_type cache_type_v = GGML_TYPE_F16;
};

class Context {
 public:
  // Reserves the cache and the compute buffers. `aborting` is read while computing: once true,
  // Decode returns early where the backend can (CPU). Throws std::runtime_error when memory does
  // not suffice.
  Context(const ContextOptions& options, const std::atomic<bool>* aborting);

  // Empties the batch.
  void BeginBatch() { batch_.Clear(); }
  // Appends `tokens` of the sequence `id`, whose first has position `first`. With `wants_logits`
  // the last one's logits are kept. Returns the batch index of the last token.
  int32_t Add(CacheId id, int32_t first, std::span<const llama_token> tokens, bool wants_logits) {
    return batch_.Add(id, first, tokens, wants_logits ? Outputs::kLast : Outputs::kNone);
  }
  // Returns when everything is computed.
  DecodeStatus Decode() { return batch_.DecodeIn(context_.get()); }
  int32_t batch_size() const { return batch_.size(); }

  // Makes one change of the memory. False when it could not be made: then the id is empty.
  bool Apply(const CacheEdit& edit);

  // What the memory of this model is capable of. What it returns must not outlive the context.
  CacheLimits cache_limits() const;

  // Whether all sequences share one cache.
  bool unified() const { return unified_; }

  // For samplers: the logits of the last Decode.
  llama_context* get() { return context_.get(); }

 private:
  void Clear(CacheId id);
  bool CutsInTrial();
  bool CanCut(CacheId id, int32_t n_tokens) const;

  bool unified_ = false;
  int32_t n_ctx_ = 0;
  int32_t n_cells_ = 0;
  // Sequence ids there are.
  int32_t n_ids_ = 0;
  // Whether a sequence can lose its last tokens, and whether it can be copied.
  bool cuts_ = true;
  bool copies_ = true;
  // Positions a layer with a sliding window looks back over; 0 without one.
  int32_t n_window_ = 0;
  ComputeThreads threads_;
  llama_context_ptr context_;
  TokenBatch batch_;
};
