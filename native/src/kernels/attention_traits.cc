#include "kernels/attention_traits.h"

#include "kernels/platform.h"

#ifdef HAVE_KERNELS

#include <cstring>

namespace {

// ggml keeps the parameters of an operation in an array of words.
float ParameterOf(const ggml_tensor* op, size_t index) {
  float value;
  std::memcpy(&value, op->op_params + index, sizeof value);
  return value;
}
float ScaleOf(const ggml_tensor* op) { return ParameterOf(op, 0); }
float LargestBiasOf(const ggml_tensor* op) { return ParameterOf(op, 1); }
float ScoreCapOf(const ggml_tensor* op) { return ParameterOf(op, 2); }

bool IsOfType(const ggml_tensor* tensor, ggml_type type) {
  return tensor->type == type && tensor->nb[0] == ggml_type_size(type);
}

bool IsCache(const ggml_tensor* cells) {
  return IsOfType(cells, GGML_TYPE_F16) && cells->ne[0] % kLanes == 0 &&
         cells->ne[1] % kTileCells == 0;
}

bool IsMask(const ggml_tensor* mask, const ggml_tensor* queries, const ggml_tensor* keys) {
  return IsOfType(mask, GGML_TYPE_F16) && mask->ne[0] == keys->ne[1] && mask->ne[2] == 1 &&
         mask->ne[3] == queries->ne[3];
}

// Tensors are [element][token or cell][head][stream].
HeadStrides StridesOf(const ggml_tensor* tensor) {
  const size_t element = tensor->nb[0];
  return {tensor->nb[1] / element, tensor->nb[2] / element, tensor->nb[3] / element};
}

Attention AttentionOf(const ggml_tensor* op, void* work) {
  const ggml_tensor* queries = op->src[0];
  const ggml_tensor* keys = op->src[1];
  const ggml_tensor* values = op->src[2];
  const ggml_tensor* mask = op->src[3];
  const ggml_tensor* sinks = op->src[4];
  return {
      .n_streams = static_cast<size_t>(queries->ne[3]),
      .n_tokens = static_cast<size_t>(queries->ne[1]),
      .n_cells = static_cast<size_t>(keys->ne[1]),
      .n_heads = static_cast<size_t>(queries->ne[2]),
      .n_kv_heads = static_cast<size_t>(keys->ne[2]),
      .key_size = static_cast<size_t>(keys->ne[0]),
      .value_size = static_cast<size_t>(values->ne[0]),
      .scale = ScaleOf(op),
      .queries = static_cast<const float*>(queries->data),
      .query_strides = StridesOf(queries),
      .keys = static_cast<const uint16_t*>(keys->data),
      .key_strides = StridesOf(keys),
      .values = static_cast<const uint16_t*>(values->data),
      .value_strides = StridesOf(values),
      .mask = mask == nullptr ? nullptr : static_cast<const uint16_t*>(mask->data),
      .mask_strides = mask == nullptr ? HeadStrides{} : StridesOf(mask),
      .sinks = sinks == nullptr ? nullptr : static_cast<const float*>(sinks->data),
      .outputs = static_cast<float*>(op->data),
      .work = static_cast<std::byte*>(work),
  };
}

}  // namespace

bool AttentionTraits::Suits(const ggml_tensor* op) const {
  if (op->op != GGML_OP_FLASH_ATTN_EXT) return false;
  const ggml_tensor* queries = op->src[0];
  const ggml_tensor* keys = op->src[1];
  const ggml_tensor* values = op->src[2];
  return LargestBiasOf(op) == 0 && ScoreCapOf(op) == 0 && IsOfType(queries, GGML_TYPE_F32) &&
         IsCache(keys) && IsCache(values) && keys->ne[2] == values->ne[2] &&
         queries->ne[2] % keys->ne[2] == 0 && keys->ne[3] == queries->ne[3] &&
         values->ne[3] == queries->ne[3] && IsOfType(op, GGML_TYPE_F32) &&
         (op->src[3] == nullptr || IsMask(op->src[3], queries, keys));
}

bool AttentionTraits::work_size(int n_threads, const ggml_tensor* op, size_t& size) {
  size = AttentionWorkBytes(AttentionOf(op, nullptr), static_cast<size_t>(n_threads));
  return true;
}

bool AttentionTraits::compute_forward(ggml_compute_params* params, ggml_tensor* op) {
  const Attention attention = AttentionOf(op, params->wdata);
  const auto thread = static_cast<size_t>(params->ith);
  const auto n_threads = static_cast<size_t>(params->nth);
  ResetChunks(backend_, *params);
  backend_.barrier(params->threadpool);
  TakeChunks(backend_, *params, NumPieces(attention, n_threads),
             [&](size_t piece) { AttendPiece(kernel_, attention, n_threads, thread, piece); });
  if (HavePartialRows(attention, n_threads)) {
    backend_.barrier(params->threadpool);
    MergeRows(kernel_, attention, n_threads, thread, n_threads);
  }
  if (params->ith == 0) n_computed_.fetch_add(1, std::memory_order_relaxed);
  return true;
}

#endif
