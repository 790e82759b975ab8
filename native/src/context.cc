#include "context.h"

#include <stdexcept>
#include <string>

#include "ggml-backend.h"
#include "ggml-cpu.h"

namespace {

constexpr int32_t kContextPadding = 256;  // llama.cpp pads contexts to this many cells

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
    : thread_pool_(CreateThreadPool(options.n_threads, options.poll)) {
  const int64_t n_split_cells = static_cast<int64_t>(Padded(options.n_ctx)) * options.n_slots;
  const bool split = options.n_kv_tokens >= static_cast<int64_t>(options.n_ctx) * options.n_slots;

  llama_context_params params = llama_context_default_params();
  params.n_ctx = static_cast<uint32_t>(split ? n_split_cells : Padded(options.n_kv_tokens));
  params.kv_unified = unified_ = !split;
  params.n_seq_max = options.n_slots;
  params.n_outputs_max = options.n_slots;
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
}

void Context::BeginBatch() {
  tokens_.clear();
  positions_.clear();
  slots_.clear();
  wants_logits_.clear();
}

int32_t Context::Add(int32_t slot, int32_t first, std::span<const llama_token> tokens,
                     bool wants_logits) {
  for (size_t i = 0; i < tokens.size(); ++i) {
    tokens_.push_back(tokens[i]);
    positions_.push_back(first + static_cast<llama_pos>(i));
    slots_.push_back(slot);
    wants_logits_.push_back(0);
  }
  wants_logits_.back() = wants_logits ? 1 : 0;
  return batch_size() - 1;
}

DecodeStatus Context::Decode() {
  sequence_counts_.assign(tokens_.size(), 1);
  slot_pointers_.resize(tokens_.size());
  for (size_t i = 0; i < slots_.size(); ++i) slot_pointers_[i] = &slots_[i];
  const llama_batch batch{
      .n_tokens = batch_size(),
      .token = tokens_.data(),
      .embd = nullptr,
      .pos = positions_.data(),
      .n_seq_id = sequence_counts_.data(),
      .seq_id = slot_pointers_.data(),
      .logits = wants_logits_.data(),
  };
  switch (llama_decode(context_.get(), batch)) {
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

void Context::Clear(int32_t slot) {
  llama_memory_seq_rm(llama_get_memory(context_.get()), slot, -1, -1);
}
