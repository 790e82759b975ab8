#include "kernels/product_traits.h"

#include "kernels/platform.h"

#ifdef HAVE_KERNELS

#include <algorithm>
#include <array>
#include <span>

namespace {

constexpr std::array<ggml_type, kNumFormats> kTypes = {
    GGML_TYPE_Q4_0,  GGML_TYPE_Q4_1, GGML_TYPE_Q5_0,   GGML_TYPE_Q5_1,
    GGML_TYPE_Q8_0,  GGML_TYPE_Q2_K, GGML_TYPE_Q3_K,   GGML_TYPE_Q4_K,
    GGML_TYPE_Q5_K,  GGML_TYPE_Q6_K, GGML_TYPE_IQ4_NL, GGML_TYPE_IQ4_XS,
    GGML_TYPE_MXFP4, GGML_TYPE_F16,  GGML_TYPE_BF16,   GGML_TYPE_F32,
};

size_t BlocksOf(const ggml_tensor* op) {
  return static_cast<size_t>(op->src[0]->ne[0]) / kBlockValues;
}

// Weights that another accelerator has laid out anew are in no host buffer.
bool AreWeights(const TileKernel& kernel, const ggml_tensor* weights) {
  const std::optional<WeightFormat> format = FormatOf(weights->type);
  return format && Multiplies(kernel, *format) && weights->nb[0] == ggml_type_size(weights->type) &&
         weights->ne[0] % kBlockValues == 0 && weights->ne[3] == 1 && weights->buffer != nullptr &&
         ggml_backend_buffer_is_host(weights->buffer);
}

bool AreFloats(const ggml_tensor* tensor) {
  return tensor->type == GGML_TYPE_F32 && tensor->nb[0] == sizeof(float);
}

// Without inputs and outputs.
TileProduct WithWeightsOf(const ggml_tensor* op) {
  const ggml_tensor* weights = op->src[0];
  return {
      .format = *FormatOf(weights->type),
      .weights = static_cast<const std::byte*>(weights->data),
      .n_rows = static_cast<size_t>(weights->ne[1]),
      .n_blocks = BlocksOf(op),
      .row_bytes = weights->nb[1],
      .n_inputs = 0,
      .work = nullptr,
  };
}

}  // namespace

std::optional<WeightFormat> FormatOf(ggml_type type) {
  const auto found = std::ranges::find(kTypes, type);
  if (found == kTypes.end()) return std::nullopt;
  return static_cast<WeightFormat>(found - kTypes.begin());
}

ggml_type TypeOf(WeightFormat format) { return kTypes[static_cast<size_t>(format)]; }

void TileTraits::Pack(const ggml_compute_params& params, const TileProduct& product) const {
  const auto thread = static_cast<size_t>(params.ith);
  const auto n_threads = static_cast<size_t>(params.nth);
  PackInputs(kernel_, product, product.n_blocks * thread / n_threads,
             product.n_blocks * (thread + 1) / n_threads);
}

void TileTraits::Multiply(const TileProduct& product, size_t chunk, size_t n_chunks) const {
  const size_t n_tiles = product.n_tiles();
  MultiplyTiles(kernel_, product, n_tiles * chunk / n_chunks, n_tiles * (chunk + 1) / n_chunks);
}

bool ProductTraits::Suits(const ggml_tensor* op) const {
  if (op->op != GGML_OP_MUL_MAT) return false;
  const ggml_tensor* inputs = op->src[1];
  return AreWeights(kernel_, op->src[0]) && op->src[0]->ne[2] == 1 && AreFloats(inputs) &&
         inputs->ne[2] == 1 && inputs->ne[3] == 1 && AreFloats(op);
}

bool ProductTraits::work_size(int, const ggml_tensor* op, size_t& size) {
  size = TileWorkBytes(BlocksOf(op), static_cast<size_t>(op->src[1]->ne[1]));
  return true;
}

bool ProductTraits::compute_forward(ggml_compute_params* params, ggml_tensor* op) {
  const ggml_tensor* inputs = op->src[1];
  TileProduct product = WithWeightsOf(op);
  product.n_inputs = static_cast<size_t>(inputs->ne[1]);
  product.inputs = static_cast<const float*>(inputs->data);
  product.input_stride = inputs->nb[1] / sizeof(float);
  product.outputs = static_cast<float*>(op->data);
  product.output_stride = op->nb[1] / sizeof(float);
  product.work = static_cast<std::byte*>(params->wdata);

  Pack(*params, product);
  ResetChunks(backend_, *params);
  backend_.barrier(params->threadpool);
  const size_t n_chunks = static_cast<size_t>(params->nth) * kChunksPerThread;
  TakeChunks(backend_, *params, n_chunks,
             [&](size_t chunk) { Multiply(product, chunk, n_chunks); });
  Count(*params);
  return true;
}

namespace {

// The work memory of an expert product, in this order.
struct ExpertWork {
  // Of each expert the first of its places, and the end of the last one's.
  std::span<size_t> first_place;
  // Of each expert in turn, an input and its outputs for each time that it was chosen.
  std::span<InputPlace> places;
  std::byte* packed;

  static size_t Bytes(size_t n_experts, size_t n_places, size_t n_blocks) {
    return (n_experts + 1) * sizeof(size_t) + n_places * sizeof(InputPlace) +
           n_experts * TileWorkBytes(n_blocks, 0) + TileWorkBytes(n_blocks, n_places);
  }

  ExpertWork(void* memory, size_t n_experts, size_t n_places)
      : first_place(static_cast<size_t*>(memory), n_experts + 1),
        places(reinterpret_cast<InputPlace*>(first_place.data() + first_place.size()), n_places),
        packed(reinterpret_cast<std::byte*>(places.data() + places.size())) {}
};

size_t NumPlaces(const ggml_tensor* op) {
  return static_cast<size_t>(op->src[2]->ne[0] * op->src[2]->ne[1]);
}

// Sorts the inputs by expert.
void FillPlaces(const ggml_tensor* op, ExpertWork* work) {
  const ggml_tensor* inputs = op->src[1];
  const ggml_tensor* ids = op->src[2];
  const auto expert_of = [&](int64_t i, int64_t token) {
    const auto* row = static_cast<const std::byte*>(ids->data) + token * ids->nb[1];
    return static_cast<size_t>(*reinterpret_cast<const int32_t*>(row + i * ids->nb[0]));
  };
  std::ranges::fill(work->first_place, 0);
  for (int64_t token = 0; token < ids->ne[1]; ++token) {
    for (int64_t i = 0; i < ids->ne[0]; ++i) ++work->first_place[expert_of(i, token)];
  }
  // The end of each expert's places, from where they are filled backwards.
  size_t n = 0;
  for (size_t& each : work->first_place) each = n += each;
  for (int64_t token = 0; token < ids->ne[1]; ++token) {
    for (int64_t i = 0; i < ids->ne[0]; ++i) {
      const auto* input = static_cast<const std::byte*>(inputs->data) + token * inputs->nb[2] +
                          i % inputs->ne[1] * inputs->nb[1];
      auto* output = static_cast<std::byte*>(op->data) + token * op->nb[2] + i * op->nb[1];
      work->places[--work->first_place[expert_of(i, token)]] = {
          reinterpret_cast<const float*>(input), reinterpret_cast<float*>(output)};
    }
  }
}

}  // namespace

bool ExpertProductTraits::Suits(const ggml_tensor* op) const {
  if (op->op != GGML_OP_MUL_MAT_ID) return false;
  const ggml_tensor* inputs = op->src[1];
  const ggml_tensor* ids = op->src[2];
  return AreWeights(kernel_, op->src[0]) && AreFloats(inputs) && inputs->ne[3] == 1 &&
         AreFloats(op) && ids->type == GGML_TYPE_I32 && ids->ne[2] == 1 && ids->ne[3] == 1;
}

bool ExpertProductTraits::work_size(int, const ggml_tensor* op, size_t& size) {
  size = ExpertWork::Bytes(static_cast<size_t>(op->src[0]->ne[2]), NumPlaces(op), BlocksOf(op));
  return true;
}

bool ExpertProductTraits::compute_forward(ggml_compute_params* params, ggml_tensor* op) {
  const auto n_experts = static_cast<size_t>(op->src[0]->ne[2]);
  ExpertWork work(params->wdata, n_experts, NumPlaces(op));
  if (params->ith == 0) FillPlaces(op, &work);
  ResetChunks(backend_, *params);
  backend_.barrier(params->threadpool);

  const auto product_of = [&](size_t expert) {
    const size_t first = work.first_place[expert];
    TileProduct product = WithWeightsOf(op);
    product.weights += expert * op->src[0]->nb[2];
    product.n_inputs = work.first_place[expert + 1] - first;
    product.places = work.places.data() + first;
    product.work = work.packed + expert * TileWorkBytes(product.n_blocks, 0) +
                   (TileWorkBytes(product.n_blocks, first) - TileWorkBytes(product.n_blocks, 0));
    return product;
  };
  for (size_t expert = 0; expert < n_experts; ++expert) Pack(*params, product_of(expert));
  backend_.barrier(params->threadpool);
  const size_t n_chunks = static_cast<size_t>(params->nth) * kChunksPerThread;
  TakeChunks(backend_, *params, n_experts * n_chunks, [&](size_t chunk) {
    const TileProduct product = product_of(chunk / n_chunks);
    if (product.n_inputs > 0) Multiply(product, chunk % n_chunks, n_chunks);
  });
  Count(*params);
  return true;
}

#endif
