// The llama_context of the engine. Built, used and destroyed on the engine thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/cell_bytes.h"
#include "llama-cpp.h"
#include "llama.h"
#include "llama/compute_options.h"
#include "llama/compute_threads.h"
#include "llama/token_batch.h"
#include "schedule/prefix_cache.h"

// How sequences share the KV cache (docs/decisions/0007-prefix-cache.md).
enum class KvLayout {
  // One cache for all: two sequences store their shared prefix once, and cached prefixes use the
  // cells that running sequences leave free.
  kUnified,
  // A part of its own for every slot, where there is room for that; a shared prefix is copied.
  kSplit,
};

// What layers keep that attend within a window (docs/decisions/0030-sliding-windows.md).
enum class SwaFull {
  // The window, where each slot has cells of its own.
  kAuto,
  // Every token: a sequence may then be cut anywhere.
  kOn,
  // The window.
  kOff,
};

struct ContextOptions : ComputeOptions {
  int32_t n_slots = 1;
  // Tokens one sequence may have.
  int32_t n_ctx = 0;
  // Cells all sequences share. With less than n_ctx for every slot they compete for them, and the
  // layout is unified whatever was asked for.
  int32_t n_kv_tokens = 0;
  KvLayout kv_layout = KvLayout::kSplit;
  SwaFull swa_full = SwaFull::kAuto;
  int32_t n_batch = 2048;
  int32_t n_ubatch = 512;
  // Draft tokens of a batch, whose logits are kept beside one of each slot.
  int32_t n_drafted = 0;
  // Bytes of the host's memory for prefixes that leave the cache.
  double stored_bytes = 0;
  // Whether long prompts may be computed in a context of their own, where that helps.
  bool background_prefill = false;

  // Calls visit(name, &field) for each option that a caller of the addon may set.
  template <class Visitor>
  void VisitOptions(const Visitor& visit) {
    ComputeOptions::VisitOptions(visit);
    visit("slotCount", &n_slots);
    visit("contextLength", &n_ctx);
    visit("kvTokenCount", &n_kv_tokens);
    visit("kvLayout", &kv_layout);
    visit("swaFull", &swa_full);
    visit("batchSize", &n_batch);
    visit("ubatchSize", &n_ubatch);
    visit("storedBytes", &stored_bytes);
    visit("backgroundPrefill", &background_prefill);
  }
};

// Reads what a context holds of a sequence. False when it cannot be read.
bool ReadCellsOf(llama_context* context, llama_seq_id id, CellBytes* cells);

class Context {
 public:
  // Reserves the cache and the compute buffers. `aborting` is read while computing: once true,
  // Decode returns early where the backend can (CPU). Throws std::runtime_error when memory does
  // not suffice.
  Context(const ContextOptions& options, const std::atomic<bool>* aborting);

  // Computes a batch, and returns when everything is computed. At most n_slots + max_logprob_rows()
  // + n_drafted of its tokens may keep their logits.
  DecodeStatus Decode(TokenBatch* batch);
  // llama.cpp has computed in the context by itself, and not through Decode.
  void ComputedElsewhere() { copied_id_ = -1; }
  // Frees the buffer of the sequence that was copied last: no more copies of it follow for now.
  void EndCopies();

  // Makes one change of the memory. False when it could not be made: then the id is empty.
  bool Apply(const CacheEdit& edit);

  // Whether cells can come from another context and go to it: they lie in the host's memory, and
  // each sequence has its own.
  bool moves_cells() const { return copies_cells_; }
  // Whether the cells of a sequence can be read and written back later, whole or in front, for the
  // price of two copies of memory. From a GPU they would come in thousands of small transfers where
  // flash attention is off.
  bool stores_cells() const { return on_host_ && cuts_ && n_window_ == 0; }
  // Whether llama.cpp makes copies with the next Decode. Until then no cells can be moved.
  bool has_pending_copies() const { return has_pending_copies_; }
  // Reads the cells of a sequence. False when they cannot be read.
  bool ReadCells(CacheId id, CellBytes* cells);
  // Gives a sequence what was read in another context, in place of what it holds. `cells` are of
  // no use afterwards. False when it could not be done: then the id is empty.
  bool WriteCells(CacheId id, CellBytes* cells);
  // Tokens the memory holds of a sequence that is not cut in front.
  int32_t n_cached(CacheId id) const;

  // Tokens whose cells fit the buffer; where cells can be moved.
  int32_t n_movable() const;

  // A context like this one for the background prefill: as many tokens as can be moved, without
  // outputs, of one sequence, or of several with a shared prefix where those are computed faster
  // together.
  llama_context_params BackgroundParams(const ContextOptions& options) const;
  // Computes on `n` of the threads from the next Decode on, 1 to those it was made with.
  void UseThreads(int32_t n);

  // Makes another context compute on this one's threads, while this one does not.
  void LendThreads(llama_context* other) const;

  // The capabilities of this model's memory. The result must not outlive the context.
  CacheLimits cache_limits() const;

  // Sequences that can be moved from one id to another for the price of `n_passes` over the model's
  // weights; 0 where ids need not be adjacent to be computed together.
  int32_t max_compaction_moves(int32_t n_passes) const;

  // Tokens whose logits a batch can keep, beside one for each slot.
  int32_t max_logprob_rows() const { return max_logprob_rows_; }

  // Why drafts are disabled, as the end of a sentence about the model: the last tokens of a
  // sequence cannot always be cut without a trace. Empty when they can.
  std::string DraftsDisabledReason() const;

  // Whether all sequences share one cache.
  bool unified() const { return unified_; }

  // For samplers: the logits of the last Decode.
  llama_context* get() { return context_.get(); }

 private:
  bool Copy(const CacheEdit& edit);
  bool CopyCells(const CacheEdit& edit);
  bool Swap(const CacheEdit& edit);
  void Store(const CacheEdit& edit);
  bool Restore(const CacheEdit& edit);
  // Into an empty id, what was read in this context or restreamed for it.
  bool SetCells(CacheId id, const CellBytes& cells);
  void Clear(CacheId id);
  bool CutsInTrial();
  void ComputeAllSizes(int32_t n_slots);
  bool CanCut(CacheId id, int32_t n_tokens) const;

  bool unified_ = false;
  // No GPU computes.
  bool on_host_ = true;
  int32_t n_ctx_ = 0;
  int32_t n_cells_ = 0;
  double stored_bytes_ = 0;
  // Sequence ids there are.
  int32_t n_ids_ = 0;
  int32_t max_logprob_rows_ = 1;
  // Whether a sequence can lose its last tokens, and whether it can be copied.
  bool cuts_ = true;
  bool copies_ = true;
  // Positions a layer with a sliding window looks back over; 0 without one.
  int32_t n_window_ = 0;
  bool swa_full_ = false;
  // Whether the cells that a sequence uses can be copied for less than a slot's whole memory, and
  // whether they are also where llama.cpp would be faster, because a copy that is pending would
  // keep cells from moving.
  bool copies_cells_ = false;
  bool copies_long_ = false;
  // What moving one cell takes, in bytes, or a little more.
  size_t cell_bytes_ = 0;
  // Whether llama.cpp was asked for copies that it makes with the next decode.
  bool has_pending_copies_ = false;
  // The cells of one sequence, as they were copied last since the memory changed; -1 for none.
  CacheId copied_id_ = -1;
  CellBytes copied_cells_;
  // The cells of prefixes that left the memory, by their id in PrefixCache.
  std::unordered_map<int64_t, CellBytes> stored_cells_;
  ComputeThreads threads_;
  llama_context_ptr context_;
};
