#include "kernels/kernel_probe.h"

#include "kernels/platform.h"

#ifdef HAVE_KERNELS

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>

#include "ggml-alloc.h"
#include "ggml-cpp.h"
#include "ggml.h"
#include "kernels/product_traits.h"
#include "kernels/random_weights.h"

namespace {

// Two records of the long formats, and rows that neither tiles nor threads share evenly.
constexpr int64_t kValues = 512;
constexpr int64_t kRows = 19;
constexpr int64_t kExperts = 3;
constexpr int64_t kChosenExperts = 2;
// Each way that a group of inputs is computed, and more than a group.
constexpr std::array<int64_t, 6> kNumInputs = {1, 2, 3, 6, 11, 20};

// Heads that share keys, tokens in a row tile and more, and more than a span of cells.
constexpr int64_t kHeads = 6;
constexpr int64_t kKvHeads = 2;
constexpr int64_t kHeadSize = 64;
constexpr int64_t kCells = 512;
constexpr std::array<int64_t, 2> kNumTokens = {1, 30};

constexpr size_t kNumProducts = kNumFormats * (kNumInputs.size() + 1);
constexpr size_t kNumOperations = kNumProducts + kNumTokens.size();
// An operation and its operands.
constexpr size_t kMaxTensors = 6;

// Root mean square of the difference, relative to the values: 8 bits leave half a percent.
constexpr double kMaxDifference = 0.03;

using Operations = std::vector<ggml_tensor*>;

void DeclareProducts(ggml_context* context, const TileKernel& tiles, Operations* operations) {
  for (size_t f = 0; f < kNumFormats; ++f) {
    if (!Multiplies(tiles, static_cast<WeightFormat>(f))) continue;
    const ggml_type type = TypeOf(static_cast<WeightFormat>(f));
    ggml_tensor* weights = ggml_new_tensor_3d(context, type, kValues, kRows, kExperts);
    ggml_tensor* matrix = ggml_view_2d(context, weights, kValues, kRows, weights->nb[1], 0);
    for (const int64_t n : kNumInputs) {
      ggml_tensor* inputs = ggml_new_tensor_2d(context, GGML_TYPE_F32, kValues, n);
      operations->push_back(ggml_mul_mat(context, matrix, inputs));
    }
    const int64_t n = kNumInputs.back();
    ggml_tensor* inputs = ggml_new_tensor_3d(context, GGML_TYPE_F32, kValues, 1, n);
    ggml_tensor* experts = ggml_new_tensor_2d(context, GGML_TYPE_I32, kChosenExperts, n);
    operations->push_back(ggml_mul_mat_id(context, weights, inputs, experts));
  }
}

void DeclareAttention(ggml_context* context, Operations* operations) {
  const auto cells_of = [&](int64_t n_heads) {
    return ggml_new_tensor_3d(context, GGML_TYPE_F16, kHeadSize, kCells, n_heads);
  };
  for (const int64_t n : kNumTokens) {
    ggml_tensor* queries = ggml_new_tensor_3d(context, GGML_TYPE_F32, kHeadSize, n, kHeads);
    ggml_tensor* mask = ggml_new_tensor_2d(context, GGML_TYPE_F16, kCells, n);
    operations->push_back(ggml_flash_attn_ext(context, queries, cells_of(kKvHeads),
                                              cells_of(kKvHeads), mask, 0.125f, 0, 0));
  }
}

void Set(ggml_tensor* tensor, const void* values) {
  ggml_backend_tensor_set(tensor, values, 0, ggml_nbytes(tensor));
}

std::vector<float> RandomFloats(int64_t count, std::mt19937* random) {
  std::uniform_real_distribution<float> value(-3, 3);
  std::vector<float> floats(count);
  for (float& each : floats) each = value(*random);
  return floats;
}

void SetHalves(ggml_tensor* tensor, const std::vector<float>& floats) {
  std::vector<ggml_fp16_t> halves(floats.size());
  ggml_fp32_to_fp16_row(floats.data(), halves.data(), static_cast<int64_t>(halves.size()));
  Set(tensor, halves.data());
}

// Two different experts for each input.
void SetExperts(ggml_tensor* experts, std::mt19937* random) {
  std::vector<int32_t> chosen(ggml_nelements(experts));
  for (size_t i = 0; i < chosen.size(); i += kChosenExperts) {
    chosen[i] = static_cast<int32_t>((*random)() % kExperts);
    chosen[i + 1] = (chosen[i] + 1) % kExperts;
  }
  Set(experts, chosen.data());
}

// Every third cell is hidden, and, as behind a cache's end, the last ones.
void SetMask(ggml_tensor* mask) {
  std::vector<float> added(ggml_nelements(mask));
  for (int64_t i = 0; i < ggml_nelements(mask); ++i) {
    const int64_t token = i / kCells;
    const int64_t cell = i % kCells;
    const bool is_hidden = (cell + token) % 3 == 0 || cell > kCells - 80 + token;
    added[i] = is_hidden ? -std::numeric_limits<float>::infinity() : 0.0f;
  }
  SetHalves(mask, added);
}

void SetOperand(ggml_tensor* operand, std::mt19937* random) {
  if (operand->type == GGML_TYPE_F32) {
    Set(operand, RandomFloats(ggml_nelements(operand), random).data());
  } else if (operand->type == GGML_TYPE_F16) {
    SetHalves(operand, RandomFloats(ggml_nelements(operand), random));
  } else if (operand->type == GGML_TYPE_I32) {
    SetExperts(operand, random);
  } else {
    const WeightFormat format = *FormatOf(operand->type);
    const size_t n_records = ggml_nbytes(operand) / LayoutOf(format).record_bytes;
    Set(operand, RandomWeights(format, n_records, random).data());
  }
}

void SetOperands(ggml_tensor* operation, std::mt19937* random) {
  for (ggml_tensor* operand : operation->src) {
    if (operand != nullptr) SetOperand(operand, random);
  }
  if (operation->op == GGML_OP_FLASH_ATTN_EXT) SetMask(operation->src[3]);
  const std::vector<float> nothing(ggml_nelements(operation),
                                   std::numeric_limits<float>::quiet_NaN());
  Set(operation, nothing.data());
}

// Two threads, which have to share the work; more than there are cores would wait for each other.
void UseTwoThreads(ggml_backend_dev_t cpu, ggml_backend_t backend) {
  void* address = ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(cpu),
                                                    "ggml_backend_set_n_threads");
  if (address == nullptr) return;
  reinterpret_cast<ggml_backend_set_n_threads_t>(address)(backend, 2);
}

}  // namespace

ProbedOutputs ProbeKernels(ggml_backend_dev_t cpu, const TileKernel& tiles) {
  const ggml_init_params params{
      .mem_size = kMaxTensors * kNumOperations * ggml_tensor_overhead() + ggml_graph_overhead(),
      .mem_buffer = nullptr,
      .no_alloc = true,
  };
  const ggml_context_ptr context(ggml_init(params));
  const ggml_backend_ptr backend(ggml_backend_dev_init(cpu, nullptr));
  if (!context || !backend) return {};
  UseTwoThreads(cpu, backend.get());
  Operations operations;
  DeclareProducts(context.get(), tiles, &operations);
  DeclareAttention(context.get(), &operations);
  ggml_cgraph* graph = ggml_new_graph(context.get());
  for (ggml_tensor* each : operations) ggml_build_forward_expand(graph, each);
  const ggml_backend_buffer_ptr buffer(
      ggml_backend_alloc_ctx_tensors(context.get(), backend.get()));
  if (!buffer) return {};

  std::mt19937 random(1);
  for (ggml_tensor* each : operations) SetOperands(each, &random);
  if (ggml_backend_graph_compute(backend.get(), graph) != GGML_STATUS_SUCCESS) return {};
  ProbedOutputs outputs;
  for (ggml_tensor* each : operations) {
    outputs.emplace_back(ggml_nelements(each));
    ggml_backend_tensor_get(each, outputs.back().data(), 0, ggml_nbytes(each));
  }
  return outputs;
}

bool AreEqualButForRounding(const ProbedOutputs& expected, const ProbedOutputs& computed) {
  if (expected.empty() || expected.size() != computed.size()) return false;
  for (size_t p = 0; p < expected.size(); ++p) {
    double squares = 0;
    double difference = 0;
    for (size_t i = 0; i < expected[p].size(); ++i) {
      squares += std::pow(expected[p][i], 2);
      difference += std::pow(expected[p][i] - computed[p][i], 2);
    }
    // NaN is not less.
    if (!(std::sqrt(difference) < kMaxDifference * std::sqrt(squares))) return false;
  }
  return true;
}

#endif
