#include "kernels/q8_probe.h"

#include <limits>
#include <random>

#include "ggml-alloc.h"
#include "ggml-cpp.h"
#include "ggml.h"
#include "kernels/q8_matmul.h"

namespace {

// Rows and blocks that neither threads nor groups of rows share evenly.
constexpr int64_t kRows = 67;
constexpr int64_t kBlocks = 5;
constexpr int64_t kValues = kBlocks * static_cast<int64_t>(Q8Block::kValues);

std::vector<Q8Block> RandomWeights(std::mt19937* random) {
  // Half-precision floats from 2^-8 to 2^-3.
  std::uniform_int_distribution<int> scale(0x1c00, 0x3000);
  std::uniform_int_distribution<int> value(-127, 127);
  std::vector<Q8Block> blocks(kRows * kBlocks);
  for (Q8Block& block : blocks) {
    block.scale = static_cast<uint16_t>(scale(*random));
    for (int8_t& each : block.values) each = static_cast<int8_t>(value(*random));
  }
  return blocks;
}

std::vector<float> RandomInputs(int64_t n_inputs, std::mt19937* random) {
  std::uniform_real_distribution<float> value(-3, 3);
  std::vector<float> inputs(n_inputs * kValues);
  for (float& each : inputs) each = value(*random);
  return inputs;
}

// Two threads, which have to share the work; more than there are cores would wait for each other.
void UseTwoThreads(ggml_backend_dev_t cpu, ggml_backend_t backend) {
  void* address = ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(cpu),
                                                    "ggml_backend_set_n_threads");
  if (address == nullptr) return;
  reinterpret_cast<ggml_backend_set_n_threads_t>(address)(backend, 2);
}

}  // namespace

std::vector<float> ProbeQ8(ggml_backend_dev_t cpu, std::span<const int64_t> numbers_of_inputs) {
  const ggml_init_params params{
      .mem_size =
          (2 * numbers_of_inputs.size() + 1) * ggml_tensor_overhead() + ggml_graph_overhead(),
      .mem_buffer = nullptr,
      .no_alloc = true,
  };
  const ggml_context_ptr context(ggml_init(params));
  const ggml_backend_ptr backend(ggml_backend_dev_init(cpu, nullptr));
  if (!context || !backend) return {};
  UseTwoThreads(cpu, backend.get());
  ggml_tensor* weights = ggml_new_tensor_2d(context.get(), GGML_TYPE_Q8_0, kValues, kRows);
  ggml_cgraph* graph = ggml_new_graph(context.get());
  std::vector<ggml_tensor*> products;
  for (const int64_t n_inputs : numbers_of_inputs) {
    ggml_tensor* inputs = ggml_new_tensor_2d(context.get(), GGML_TYPE_F32, kValues, n_inputs);
    products.push_back(ggml_mul_mat(context.get(), weights, inputs));
    ggml_build_forward_expand(graph, products.back());
  }
  const ggml_backend_buffer_ptr buffer(
      ggml_backend_alloc_ctx_tensors(context.get(), backend.get()));
  if (!buffer) return {};

  std::mt19937 random(1);
  const std::vector<Q8Block> weight_blocks = RandomWeights(&random);
  ggml_backend_tensor_set(weights, weight_blocks.data(), 0, ggml_nbytes(weights));
  for (ggml_tensor* product : products) {
    const std::vector<float> inputs = RandomInputs(product->ne[1], &random);
    ggml_backend_tensor_set(product->src[1], inputs.data(), 0, ggml_nbytes(product->src[1]));
    const std::vector<float> nothing(ggml_nelements(product),
                                     std::numeric_limits<float>::quiet_NaN());
    ggml_backend_tensor_set(product, nothing.data(), 0, ggml_nbytes(product));
  }
  if (ggml_backend_graph_compute(backend.get(), graph) != GGML_STATUS_SUCCESS) return {};
  std::vector<float> outputs;
  for (ggml_tensor* product : products) {
    const size_t n_before = outputs.size();
    outputs.resize(n_before + ggml_nelements(product));
    ggml_backend_tensor_get(product, outputs.data() + n_before, 0, ggml_nbytes(product));
  }
  return outputs;
}
