#include "context.h"

#include <algorithm>
#include <array>
#include <stdexcept>
#include <string>

#include "ggml-backend.h"
#include "ggml-cpu.h"

namespace {

constexpr int32_t kContextPadding = 256;  // llama.cpp pads contexts to this many cells

// Copies of a common prefix in a split cache move a slot's whole memory. A share of the context
// that costs about as much to compute.
constexpr int32_t kSplitCopyPart = 64;
constexpr int32_t kLeastSplitCopy = 64;

// The share of a unified cache that finished prefixes may fill, unless one whole context is more. A
// step pays for every cell in use, also for those it skips: on a CPU with flash attention about 1.2
// ns of one core for each cell, layer and head.
constexpr int32_t kKeptPart = 4;

int32_t Padded(int32_t n) { return (n + kContextPadding - 1) / kContextPadding * kContextPadding; }

template <typename Function>
Function CpuBackendFunction(const char* name) {
  ggml_backend_dev_t device = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
  if (device == nullptr) throw std::runtime_error("ggml has no CPU backend");
  void* address = ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(device), name);
  if (address == nullptr) throw std::runtime_error(std::string("ggml has no ") + name);
  return reinterpret_cast<Function>(address);
}

}  // namespace

// Without a pool of its own a context starts and joins threads for every batch: on 2 cores that
// costs a factor of 20 (docs/decisions/0001-native-loop.md).
Context::ThreadPool Context::CreateThreadPool(int32_t n_threads, uint32_t poll) {
  ggml_threadpool_params params = ggml_threadpool_params_default(n_threads);
  params.poll = poll;
  const auto create = CpuBackendFunction<decltype(&ggml_threadpool_new)>("ggml_threadpool_new");
  const auto destroy = CpuBackendFunction<decltype(&ggml_threadpool_free)>("ggml_threadpool_free");
  ThreadPool pool(create(&params), ThreadPoolDeleter{destroy});
  if (!pool) throw std::runtime_error("the compute threads could not be started");
  return pool;
}

Context::Context(const ContextOptions& options, const std::atomic<bool>* aborting)
    : n_ctx_(options.n_ctx),
      n_cells_(options.n_kv_tokens),
      n_window_(llama_model_n_swa(options.model)),
      thread_pool_(CreateThreadPool(options.n_threads, options.poll)) {
  const int64_t n_split_cells = static_cast<int64_t>(Padded(options.n_ctx)) * options.n_slots;
  const bool has_room =
      options.n_kv_tokens >= static_cast<int64_t>(options.n_ctx) * options.n_slots;
  unified_ = options.kv_layout == KvLayout::kUnified || !has_room;

  // A recurrent state is as large for one token as for all, and there is one for each id: as many
  // as the slots, and as many again for finished prefixes. Ids of attention cells cost nothing, and
  // a unified cache takes all that llama.cpp knows whatever n_seq_max says.
  const bool recurrent =
      llama_model_is_recurrent(options.model) || llama_model_is_hybrid(options.model);
  const auto n_most_ids = static_cast<int32_t>(llama_max_parallel_sequences());
  n_ids_ = options.n_slots;
  if (unified_) n_ids_ = recurrent ? std::min(n_most_ids, 2 * options.n_slots + 2) : n_most_ids;
  const int32_t n_seq_max = recurrent ? n_ids_ : options.n_slots;

  llama_context_params params = llama_context_default_params();
  params.n_ctx = static_cast<uint32_t>(unified_ ? Padded(options.n_kv_tokens) : n_split_cells);
  params.kv_unified = unified_;
  params.n_seq_max = n_seq_max;
  params.n_outputs_max = n_seq_max + options.n_drafted;
  params.n_batch = options.n_batch;
  params.n_ubatch = options.n_ubatch;
  params.n_threads = options.n_threads;
  params.n_threads_batch = options.n_threads;
  params.flash_attn_type = options.flash_attention;
  params.type_k = options.cache_type_k;
  params.type_v = options.cache_type_v;
  params.no_perf = true;
  params.abort_callback = [](void* flag) noexcept {
    return static_cast<const std::atomic<bool>*>(flag)->load(std::memory_order_relaxed);
  };
  params.abort_callback_data = const_cast<std::atomic<bool>*>(aborting);

  context_.reset(llama_init_from_model(options.model, params));
  if (!context_) {
    throw std::runtime_error("llama.cpp could not create a context with a KV cache of " +
                             std::to_string(params.n_ctx) + " tokens; its log says why");
  }
  llama_attach_threadpool(context_.get(), thread_pool_.get(), thread_pool_.get());

  cuts_ = !recurrent && CutsInTrial();
  // A memory of another kind that cannot be cut may end the process over a copy (DeepSeek 4).
  copies_ = cuts_ || recurrent;
  if (!copies_) n_ids_ = options.n_slots;
}

// Whether a sequence of two tokens can lose the second. llama.cpp has no other way to ask.
bool Context::CutsInTrial() {
  constexpr std::array<llama_token, 1> kAnyToken{0};
  for (const int32_t position : {0, 1}) {
    BeginBatch();
    Add(0, position, kAnyToken, 1);
    if (Decode() != DecodeStatus::kOk) return false;
  }
  const bool cuts = llama_memory_seq_rm(llama_get_memory(context_.get()), 0, 1, -1);
  Clear(0);
  return cuts;
}

CacheLimits Context::cache_limits() const {
  CacheLimits limits;
  limits.n_ids = n_ids_;
  limits.n_cells = n_cells_;
  if (unified_) limits.n_kept_cells = std::max(n_ctx_, n_cells_ / kKeptPart);
  limits.shares_cells = unified_;
  limits.cuts = cuts_;
  limits.copies = copies_;
  limits.n_min_copy = unified_ ? 1 : std::max(kLeastSplitCopy, n_ctx_ / kSplitCopyPart);
  if (n_window_ > 0) {
    limits.can_cut = [this](CacheId id, int32_t n_tokens) { return CanCut(id, n_tokens); };
  }
  return limits;
}

std::string Context::ReasonNotToGuess() const {
  if (!cuts_) return "keeps a state that no token can be taken back from";
  // Tokens of one step are spread over several ubatches then, and a later one may take the cells of
  // tokens that are within the window again once the guess is taken back.
  if (n_window_ > 0 && !unified_) return "attends within a window, which needs KV_LAYOUT=unified";
  return "";
}

// Cells that have left the window may have been used for something else.
bool Context::CanCut(CacheId id, int32_t n_tokens) const {
  const llama_pos oldest = llama_memory_seq_pos_min(llama_get_memory(context_.get()), id);
  return oldest >= 0 && oldest <= std::max(0, n_tokens - n_window_);
}

void Context::BeginBatch() {
  tokens_.clear();
  positions_.clear();
  ids_.clear();
  wants_logits_.clear();
}

int32_t Context::Add(CacheId id, int32_t first, std::span<const llama_token> tokens,
                     int32_t n_logits) {
  const int32_t first_logits = batch_size() + static_cast<int32_t>(tokens.size()) - n_logits;
  for (size_t i = 0; i < tokens.size(); ++i) {
    tokens_.push_back(tokens[i]);
    positions_.push_back(first + static_cast<llama_pos>(i));
    ids_.push_back(id);
    wants_logits_.push_back(batch_size() > first_logits ? 1 : 0);
  }
  return first_logits;
}

DecodeStatus Context::Decode() {
  sequence_counts_.assign(tokens_.size(), 1);
  id_pointers_.resize(tokens_.size());
  for (size_t i = 0; i < ids_.size(); ++i) id_pointers_[i] = &ids_[i];
  const llama_batch batch{
      .n_tokens = batch_size(),
      .token = tokens_.data(),
      .embd = nullptr,
      .pos = positions_.data(),
      .n_seq_id = sequence_counts_.data(),
      .seq_id = id_pointers_.data(),
      .logits = wants_logits_.data(),
  };
  const int32_t result = llama_decode(context_.get(), batch);
  llama_synchronize(context_.get());
  switch (result) {
    case 0:
      return DecodeStatus::kOk;
    case 1:
      return DecodeStatus::kNoRoom;
    case 2:
      return DecodeStatus::kAborted;
    default:
      return DecodeStatus::kFailed;
  }
}

bool Context::Apply(const CacheEdit& edit) {
  llama_memory_t memory = llama_get_memory(context_.get());
  bool done = true;
  switch (edit.kind) {
    case CacheEdit::Kind::kCopy:
      // Only within one stream can a part be copied; llama.cpp ends the process over anything else.
      if (unified_ && cuts_) {
        llama_memory_seq_cp(memory, edit.source, edit.id, 0, edit.n_tokens);
      } else {
        llama_memory_seq_cp(memory, edit.source, edit.id, -1, -1);
        if (cuts_) done = llama_memory_seq_rm(memory, edit.id, edit.n_tokens, -1);
      }
      break;
    case CacheEdit::Kind::kCut:
      done = llama_memory_seq_rm(memory, edit.id, edit.n_tokens, -1);
      break;
    case CacheEdit::Kind::kClear:
      Clear(edit.id);
      break;
  }
  if (!done) Clear(edit.id);
  return done;
}

// Removing all of a sequence never fails.
void Context::Clear(CacheId id) {
  llama_memory_seq_rm(llama_get_memory(context_.get()), id, -1, -1);
}
