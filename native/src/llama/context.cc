#include "llama/context.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

#include "llama/memory_limits.h"

namespace {

constexpr int32_t kContextPadding = 256;  // llama.cpp pads contexts to this many cells

// Copying a shared prefix in a split cache moves a slot's whole memory, except where single cells
// can be copied. This is the share of the context that costs about as much to compute.
constexpr int32_t kSplitCopyPart = 64;
constexpr int32_t kMinSplitCopy = 64;
// More than any memory holds, and less than the books can count.
constexpr double kMaxStoredTokens = 1 << 30;

// The share of a unified cache that cached prefixes may fill, unless one whole context is more. A
// step pays for every cell in use, even if it skips the cell: on a CPU with flash attention about
// 1.2 ns of one core for each cell, layer and head.
constexpr int32_t kCachedPart = 4;

// Memory for the logits of prompt tokens with log probabilities, which llama.cpp reserves in any
// case. With few rows a prompt takes many steps; more than a hundred gain nothing.
constexpr int32_t kLogprobBytes = 16 << 20;
constexpr int32_t kMaxLogprobRows = 128;
constexpr int32_t kMinLogprobRows = 8;

// Sequences of the background prefill. llama.cpp reserves the logits of one token of each.
constexpr int32_t kMaxBackgroundSequences = 16;

int32_t MaxLogprobRows(const llama_model* model) {
  const int64_t n_vocab = llama_vocab_n_tokens(llama_model_get_vocab(model));
  const int64_t n_rows = kLogprobBytes / (n_vocab * static_cast<int64_t>(sizeof(float)));
  return static_cast<int32_t>(std::clamp<int64_t>(n_rows, kMinLogprobRows, kMaxLogprobRows));
}

llama_context_params BaseParams(const ContextOptions& options) {
  llama_context_params params = llama_context_default_params();
  params.n_ubatch = options.n_ubatch;
  params.n_threads = options.n_threads;
  params.n_threads_batch = options.n_threads;
  params.flash_attn_type = options.flash_attention;
  params.type_k = options.cache_type_k;
  params.type_v = options.cache_type_v;
  params.no_perf = true;
  return params;
}

// The value of a number under the architecture's name, 0 for none.
int32_t ArchitectureNumber(const llama_model* model, const char* name) {
  std::array<char, 64> text{};
  llama_model_meta_val_str(model, "general.architecture", text.data(), text.size());
  const std::string key = std::string(text.data()) + "." + name;
  if (llama_model_meta_val_str(model, key.c_str(), text.data(), text.size()) < 0) return 0;
  return std::atoi(text.data());
}

// Whether the RoPE factors depend on the size of the context: llama.cpp has two sets of factors for
// such models (LongRoPE).
bool RotatesByContext(const llama_model* model) {
  return ArchitectureNumber(model, "rope.scaling.original_context_length") > 0;
}

// Bytes of the model that a step of a few tokens reads: of the experts, only the used ones.
double PassBytes(const llama_model* model) {
  const auto n_bytes = static_cast<double>(llama_model_size(model));
  const int32_t n_experts = ArchitectureNumber(model, "expert_count");
  const int32_t n_used = ArchitectureNumber(model, "expert_used_count");
  return n_experts > n_used && n_used > 0 ? n_bytes * n_used / n_experts : n_bytes;
}

// Whether ggml computes attention on a CPU faster for a sequence of many tokens in one batch
// (ggml_compute_forward_flash_attn_ext_f16), so that the suffixes behind a shared prefix are better
// computed in one stream.
bool PrefersManyRows(const ContextOptions& options) {
  const ggml_type type = options.cache_type_k;
  return options.flash_attention != LLAMA_FLASH_ATTN_TYPE_DISABLED &&
         options.cache_type_v == type && (type == GGML_TYPE_F16 || type == GGML_TYPE_F32);
}

int32_t Padded(int32_t n) { return (n + kContextPadding - 1) / kContextPadding * kContextPadding; }

}  // namespace

Context::Context(const ContextOptions& options, const std::atomic<bool>* aborting)
    : n_ctx_(options.n_ctx),
      n_cells_(options.n_kv_tokens),
      stored_bytes_(options.stored_bytes),
      max_logprob_rows_(MaxLogprobRows(options.model)),
      n_window_(llama_model_n_swa(options.model)),
      copies_long_(options.background_prefill),
      threads_(StartComputeThreads(options.n_threads, options.poll, options.processors)) {
  const int64_t n_split_cells = static_cast<int64_t>(Padded(options.n_ctx)) * options.n_slots;
  const bool has_room =
      options.n_kv_tokens >= static_cast<int64_t>(options.n_ctx) * options.n_slots;
  unified_ = options.kv_layout == KvLayout::kUnified || !has_room;
  swa_full_ = options.swa_full == SwaFull::kOn || (options.swa_full == SwaFull::kAuto && unified_);
  // Of a unified cache llama.cpp gives each slot one window, which no cached prefix may hold in
  // addition. A cell that two sequences share is never reused.
  const bool shares_windows = unified_ && n_window_ > 0 && !swa_full_;

  // A recurrent state has the same size for any number of tokens, and every id has one: one for
  // each slot, and as many again for cached prefixes. Ids of attention cells cost nothing, and a
  // unified cache takes all ids that llama.cpp knows, whatever n_seq_max is.
  const bool recurrent =
      llama_model_is_recurrent(options.model) || llama_model_is_hybrid(options.model);
  const auto max_ids = static_cast<int32_t>(llama_max_parallel_sequences());
  const int32_t n_states = kStatesPerSlot * options.n_slots + kSpareStates;
  n_ids_ = options.n_slots;
  if (unified_ && !shares_windows) n_ids_ = recurrent ? std::min(max_ids, n_states) : max_ids;
  const int32_t n_seq_max = recurrent ? n_ids_ : options.n_slots;

  llama_context_params params = BaseParams(options);
  params.n_ctx = static_cast<uint32_t>(unified_ ? Padded(options.n_kv_tokens) : n_split_cells);
  params.kv_unified = unified_;
  params.swa_full = swa_full_;
  params.n_seq_max = n_seq_max;
  params.n_outputs_max = n_seq_max + max_logprob_rows_ + options.n_drafted;
  params.n_batch = options.n_batch;
  params.abort_callback = [](void* flag) noexcept {
    return static_cast<const std::atomic<bool>*>(flag)->load(std::memory_order_relaxed);
  };
  params.abort_callback_data = const_cast<std::atomic<bool>*>(aborting);

  context_.reset(llama_init_from_model(options.model, params));
  if (!context_) {
    throw std::runtime_error("llama.cpp could not create a context with a KV cache of " +
                             std::to_string(params.n_ctx) + " tokens; its log says why");
  }
  LendThreads(context_.get());

  cuts_ = !recurrent && CutsInTrial();
  // A memory of another kind that cannot be cut may end the process over a copy (DeepSeek 4).
  copies_ = (cuts_ || recurrent) && !shares_windows;
  if (!copies_) n_ids_ = options.n_slots;
  on_host_ = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_GPU) == nullptr;
  if (!on_host_) ComputeAllSizes(options.n_slots);
  // On a GPU a whole slot is copied faster than its cells come and go through the host's memory.
  copies_cells_ = on_host_ && !unified_ && cuts_ && n_window_ == 0;
}

// Whether a sequence of two tokens can lose the second. llama.cpp has no other way to ask.
bool Context::CutsInTrial() {
  constexpr std::array<llama_token, 1> kAnyToken{0};
  TokenBatch batch;
  for (const int32_t position : {0, 1}) {
    batch.Clear();
    batch.Add(0, position, kAnyToken, 1);
    if (Decode(&batch) != DecodeStatus::kOk) return false;
  }
  const bool cuts = llama_memory_seq_rm(llama_get_memory(context_.get()), 0, 1, -1);
  if (cuts) cell_bytes_ = llama_state_seq_get_size(context_.get(), 0);
  Clear(0);
  return cuts;
}

// A GPU computes a few tokens with other kernels than many, and compiles or loads each kernel on
// first use, which takes up to seconds. This happens here, before a request waits for it.
void Context::ComputeAllSizes(int32_t n_slots) {
  const auto n_max =
      static_cast<int32_t>(std::min<uint32_t>(llama_n_ubatch(context_.get()), n_ctx_));
  const std::vector<llama_token> tokens(n_max, 0);
  TokenBatch batch;
  for (const int32_t n : {3, 12, 48, n_max}) {
    if (n > n_max) continue;
    batch.Clear();
    batch.Add(0, 0, std::span(tokens).first(n), 1);
    Decode(&batch);
    // One more behind them looks at a longer context.
    if (n < n_ctx_) {
      batch.Clear();
      batch.Add(0, n, std::span(tokens).first(1), 1);
      Decode(&batch);
    }
    Clear(0);
  }
  batch.Clear();
  for (CacheId id = 0; id < n_slots; ++id) batch.Add(id, 0, std::span(tokens).first(1), 1);
  Decode(&batch);
  for (CacheId id = 0; id < n_slots; ++id) Clear(id);
}

CacheLimits Context::cache_limits() const {
  CacheLimits limits;
  limits.n_ids = n_ids_;
  limits.n_cells = n_cells_;
  if (unified_) limits.max_cached_cells = std::max(n_ctx_, n_cells_ / kCachedPart);
  limits.shares_cells = unified_;
  limits.cuts = cuts_;
  limits.copies = copies_;
  // Where prompts are computed fast, a gap in every step costs more than a lost prefix.
  if (copies_cells_) limits.max_swap_tokens = n_movable();
  limits.drops_to_move = !on_host_;
  if (unified_) {
    limits.min_copy_tokens = 1;
  } else {
    limits.min_copy_tokens = std::max(kMinSplitCopy, copies_cells_ ? 0 : n_ctx_ / kSplitCopyPart);
  }
  if (stores_cells()) {
    const double n_tokens = stored_bytes_ / static_cast<double>(cell_bytes_);
    limits.max_stored_tokens = static_cast<int32_t>(std::min(n_tokens, kMaxStoredTokens));
  }
  if (n_window_ > 0) {
    limits.can_cut = [this](CacheId id, int32_t n_tokens) { return CanCut(id, n_tokens); };
  }
  return limits;
}

int32_t Context::max_compaction_moves(int32_t n_passes) const {
  if (unified_ || !cuts_) return 0;
  // Two slots are read and written: the one that moves, and the cached prefix that makes way.
  const double moved_bytes = 4.0 * static_cast<double>(cell_bytes_) * n_ctx_;
  const double n_moves = n_passes * PassBytes(llama_get_model(context_.get())) / moved_bytes;
  return static_cast<int32_t>(std::min(n_moves, static_cast<double>(n_ids_)));
}

std::string Context::DraftsDisabledReason() const {
  if (!cuts_) return "keeps a state that no token can be taken back from";
  // The tokens of one step are then spread over several ubatches. A later ubatch may reuse cells of
  // tokens that are within the window again once the draft is cut.
  if (n_window_ > 0 && !(unified_ && swa_full_)) {
    return "attends within a window, which needs KV_LAYOUT=unified and SWA_FULL";
  }
  return "";
}

// Cells that have left the window may have been reused.
bool Context::CanCut(CacheId id, int32_t n_tokens) const {
  const llama_pos oldest = llama_memory_seq_pos_min(llama_get_memory(context_.get()), id);
  return oldest >= 0 && oldest <= std::max(0, n_tokens - n_window_);
}

DecodeStatus Context::Decode(TokenBatch* batch) {
  EndCopies();
  has_pending_copies_ = false;
  return batch->DecodeIn(context_.get());
}

int32_t Context::n_movable() const {
  const size_t n_cells = kMaxMovedBytes / std::max<size_t>(1, cell_bytes_);
  return static_cast<int32_t>(std::min<size_t>(n_ctx_, n_cells));
}

llama_context_params Context::BackgroundParams(const ContextOptions& options) const {
  llama_context_params params = BaseParams(options);
  const int32_t n_ctx = RotatesByContext(options.model) ? n_ctx_ : n_movable();
  params.n_ctx = static_cast<uint32_t>(Padded(n_ctx));
  params.n_seq_max =
      PrefersManyRows(options) ? std::min(options.n_slots, kMaxBackgroundSequences) : 1;
  params.kv_unified = true;
  params.n_outputs_max = params.n_seq_max;
  params.n_batch = params.n_ubatch;
  return params;
}

void Context::UseThreads(int32_t n) {
  if (n != llama_n_threads(context_.get())) llama_set_n_threads(context_.get(), n, n);
}

void Context::LendThreads(llama_context* other) const {
  llama_attach_threadpool(other, threads_.get(), threads_.get());
}
