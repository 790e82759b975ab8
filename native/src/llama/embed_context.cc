#include "llama/embed_context.h"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "llama/memory_limits.h"

namespace {

constexpr int32_t kContextPadding = 256;  // llama.cpp pads contexts to this many cells

// Sequence ids where each id has a recurrent state.
constexpr int32_t kSequencesWithState = 4;

int32_t Padded(int32_t n) { return (n + kContextPadding - 1) / kContextPadding * kContextPadding; }

// The type shares its name with a function.
enum llama_pooling_type LlamaPooling(Pooling pooling) {
  switch (pooling) {
    case Pooling::kMean:
      return LLAMA_POOLING_TYPE_MEAN;
    case Pooling::kCls:
      return LLAMA_POOLING_TYPE_CLS;
    case Pooling::kLast:
      return LLAMA_POOLING_TYPE_LAST;
    case Pooling::kRank:
      return LLAMA_POOLING_TYPE_RANK;
  }
  return LLAMA_POOLING_TYPE_MEAN;
}

EmbedLimits LimitsOf(const EmbedContextOptions& options) {
  const int64_t n_vocab = llama_vocab_n_tokens(llama_model_get_vocab(options.model));
  const bool keeps_state =
      llama_model_is_recurrent(options.model) || llama_model_is_hybrid(options.model);
  const auto n_affordable = static_cast<int32_t>(
      std::min<int64_t>(kMaxEmbeddingLogits / std::max<int64_t>(n_vocab, 1), options.n_ubatch));
  return {
      .n_batch = std::max(n_affordable, kEmbeddingSequences),
      .n_inputs = (keeps_state ? kSequencesWithState : kEmbeddingSequences) - 1,
      .whole_inputs = options.whole_inputs,
  };
}

// llama.cpp ends the process over a position that the model has no vector for.
void CheckPositions(const EmbedContextOptions& options) {
  const int32_t n_trained = llama_model_n_ctx_train(options.model);
  if (options.whole_inputs && options.n_ctx > n_trained) {
    throw std::invalid_argument("inputs of " + std::to_string(options.n_ctx) +
                                " tokens are more than the " + std::to_string(n_trained) +
                                " positions of the model");
  }
}

}  // namespace

EmbedContext::EmbedContext(const EmbedContextOptions& options, const std::atomic<bool>* aborting)
    : limits_(LimitsOf(options)),
      threads_(StartComputeThreads(options.n_threads, options.poll, options.processors)) {
  CheckPositions(options);
  llama_context_params params = llama_context_default_params();
  params.embeddings = true;
  params.pooling_type = LlamaPooling(options.pooling);
  // One cache for all, in which the input in pieces stays while others are computed.
  params.kv_unified = true;
  params.n_seq_max = limits_.n_inputs + 1;
  params.n_ubatch =
      limits_.whole_inputs ? std::max(options.n_ctx, limits_.n_batch) : limits_.n_batch;
  params.n_batch = params.n_ubatch;
  params.n_ctx = limits_.whole_inputs ? Padded(static_cast<int32_t>(params.n_ubatch))
                                      : Padded(options.n_ctx + limits_.n_batch);
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
    throw std::runtime_error("llama.cpp could not create a context for embeddings of " +
                             std::to_string(options.n_ctx) + " tokens; its log says why");
  }
  if (llama_get_memory(context_.get()) == nullptr && !limits_.whole_inputs) {
    throw std::invalid_argument(
        "the model keeps no memory between batches, so that its inputs "
        "cannot be computed in pieces");
  }
  llama_attach_threadpool(context_.get(), threads_.get(), threads_.get());
  n_values_ = options.pooling == Pooling::kRank
                  ? static_cast<int32_t>(llama_model_n_cls_out(options.model))
                  : llama_model_n_embd_out(options.model);
}

std::span<const float> EmbedContext::Pooled(int32_t sequence) {
  const float* values = llama_get_embeddings_seq(context_.get(), sequence);
  if (values == nullptr) return {};
  return {values, static_cast<size_t>(n_values_)};
}

// Removing all of a sequence never fails.
void EmbedContext::Forget(int32_t sequence) {
  llama_memory_t memory = llama_get_memory(context_.get());
  if (memory != nullptr) llama_memory_seq_rm(memory, sequence, -1, -1);
}
