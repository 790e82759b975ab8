// The llama_context of the engine and the batch it computes. The only caller of llama_decode.
// Built, used and destroyed on the engine thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "llama-cpp.h"
#include "llama.h"
#include "prefix_cache.h"

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
  // Tokens of a batch, beside one of each slot, whose logits may be asked for.
  int32_t n_drafted = 0;
  int32_t n_threads = 1;
  // ggml's busy-wait between graphs, 0 (sleep at once) to 100.
  uint32_t poll = 0;
  llama_flash_attn_type flash_attention = LLAMA_FLASH_ATTN_TYPE_AUTO;
  ggml_type cache_type_k = GGML_TYPE_F16;
  ggml_type cache_type_v = GGML_TYPE_F16;
};

enum class DecodeStatus {
  kOk,
  // The cache has no room for this batch; nothing was changed.
  kNoRoom,
  // Stopped by `aborting`.
  kAborted,
  // The batch is lost; its sequences must be cleared.
  kFailed,
};

class Context {
 public:
  // Reserves the cache and the compute buffers. `aborting` is read while computing: once true,
  // Decode returns early where the backend can (CPU). Throws std::runtime_error when memory does
  // not suffice.
  Context(const ContextOptions& options, const std::atomic<bool>* aborting);

  // Empties the batch.
  void BeginBatch();
  // Appends `tokens` of the sequence `id`, at least one, the first at position `first`. The logits
  // of the last `n_logits` are kept. Returns the batch index of the first of these.
  int32_t Add(CacheId id, int32_t first, std::span<const llama_token> tokens, int32_t n_logits);
  // Returns when everything is computed.
  DecodeStatus Decode();
  int32_t batch_size() const { return static_cast<int32_t>(tokens_.size()); }

  // Makes one change of the memory. False when it could not be made: then the id is empty.
  bool Apply(const CacheEdit& edit);

  // What the memory of this model is capable of. What it returns must not outlive the context.
  CacheLimits cache_limits() const;

  // Why the last tokens of a sequence cannot always be taken back as if they had never been there,
  // as the end of a sentence about the model; empty when they can.
  std::string ReasonNotToGuess() const;

  // Whether all sequences share one cache.
  bool unified() const { return unified_; }

  // For samplers: the logits of the last Decode.
  llama_context* get() { return context_.get(); }

 private:
  struct ThreadPoolDeleter {
    void (*free)(ggml_threadpool*) = nullptr;
    void operator()(ggml_threadpool* pool) const { free(pool); }
  };
  using ThreadPool = std::unique_ptr<ggml_threadpool, ThreadPoolDeleter>;

  static ThreadPool CreateThreadPool(int32_t n_threads, uint32_t poll);

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
  ThreadPool thread_pool_;
  llama_context_ptr context_;

  // The batch, column by column, as llama_batch wants it.
  std::vector<llama_token> tokens_;
  std::vector<llama_pos> positions_;
  std::vector<int32_t> sequence_counts_;
  std::vector<llama_seq_id> ids_;
  std::vector<llama_seq_id*> id_pointers_;
  std::vector<int8_t> wants_logits_;
};
