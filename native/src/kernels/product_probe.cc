#include "kernels/product_probe.h"

#if defined(__linux__) && defined(__x86_64__)

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
constexpr std::array<int64_t, 5> kNumInputs = {1, 2, 3, 6, 11};
constexpr size_t kNumProducts = kNumFormats * (kNumInputs.size() + 1);

// Root mean square of the difference, relative to the values: 8 bits leave half a percent.
constexpr double kMaxDifference = 0.03;

struct Operands {
  ggml_tensor* weights;
  ggml_tensor* inputs;
  ggml_tensor* experts;
  ggml_tensor* product;
};

std::vector<Operands> DeclareProducts(ggml_context* context) {
  std::vector<Operands> products;
  for (size_t f = 0; f < kNumFormats; ++f) {
    const ggml_type type = TypeOf(static_cast<WeightFormat>(f));
    ggml_tensor* weights = ggml_new_tensor_3d(context, type, kValues, kRows, kExperts);
    ggml_tensor* matrix = ggml_view_2d(context, weights, kValues, kRows, weights->nb[1], 0);
    for (const int64_t n : kNumInputs) {
      ggml_tensor* inputs = ggml_new_tensor_2d(context, GGML_TYPE_F32, kValues, n);
      products.push_back({weights, inputs, nullptr, ggml_mul_mat(context, matrix, inputs)});
    }
    const int64_t n = kNumInputs.back();
    ggml_tensor* inputs = ggml_new_tensor_3d(context, GGML_TYPE_F32, kValues, 1, n);
    ggml_tensor* experts = ggml_new_tensor_2d(context, GGML_TYPE_I32, kChosenExperts, n);
    products.push_back(
        {weights, inputs, experts, ggml_mul_mat_id(context, weights, inputs, experts)});
  }
  return products;
}

void SetOperands(const Operands& operands, std::mt19937* random) {
  const auto [weights, inputs, experts, product] = operands;
  const WeightFormat format = *FormatOf(weights->type);
  const size_t n_records = ggml_nbytes(weights) / LayoutOf(format).record_bytes;
  const std::vector<std::byte> bytes = RandomWeights(format, n_records, random);
  ggml_backend_tensor_set(weights, bytes.data(), 0, bytes.size());

  std::uniform_real_distribution<float> value(-3, 3);
  std::vector<float> floats(ggml_nelements(inputs));
  for (float& each : floats) each = value(*random);
  ggml_backend_tensor_set(inputs, floats.data(), 0, ggml_nbytes(inputs));

  if (experts != nullptr) {
    std::vector<int32_t> chosen(ggml_nelements(experts));
    for (size_t i = 0; i < chosen.size(); i += 2) {
      chosen[i] = static_cast<int32_t>((*random)() % kExperts);
      chosen[i + 1] = (chosen[i] + 1) % kExperts;
    }
    ggml_backend_tensor_set(experts, chosen.data(), 0, ggml_nbytes(experts));
  }
  const std::vector<float> nothing(ggml_nelements(product),
                                   std::numeric_limits<float>::quiet_NaN());
  ggml_backend_tensor_set(product, nothing.data(), 0, ggml_nbytes(product));
}

// Two threads, which have to share the work; more than there are cores would wait for each other.
void UseTwoThreads(ggml_backend_dev_t cpu, ggml_backend_t backend) {
  void* address = ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(cpu),
                                                    "ggml_backend_set_n_threads");
  if (address == nullptr) return;
  reinterpret_cast<ggml_backend_set_n_threads_t>(address)(backend, 2);
}

}  // namespace

ProbedProducts ProbeProducts(ggml_backend_dev_t cpu) {
  const ggml_init_params params{
      .mem_size = 5 * kNumProducts * ggml_tensor_overhead() + ggml_graph_overhead(),
      .mem_buffer = nullptr,
      .no_alloc = true,
  };
  const ggml_context_ptr context(ggml_init(params));
  const ggml_backend_ptr backend(ggml_backend_dev_init(cpu, nullptr));
  if (!context || !backend) return {};
  UseTwoThreads(cpu, backend.get());
  const std::vector<Operands> products = DeclareProducts(context.get());
  ggml_cgraph* graph = ggml_new_graph(context.get());
  for (const Operands& each : products) ggml_build_forward_expand(graph, each.product);
  const ggml_backend_buffer_ptr buffer(
      ggml_backend_alloc_ctx_tensors(context.get(), backend.get()));
  if (!buffer) return {};

  std::mt19937 random(1);
  for (const Operands& each : products) SetOperands(each, &random);
  if (ggml_backend_graph_compute(backend.get(), graph) != GGML_STATUS_SUCCESS) return {};
  ProbedProducts outputs;
  for (const Operands& each : products) {
    outputs.emplace_back(ggml_nelements(each.product));
    ggml_backend_tensor_get(each.product, outputs.back().data(), 0, ggml_nbytes(each.product));
  }
  return outputs;
}

bool AreEqualButForRounding(const ProbedProducts& expected, const ProbedProducts& computed) {
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
