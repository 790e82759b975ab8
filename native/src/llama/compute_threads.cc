#include "llama/compute_threads.h"

#include <stdexcept>
#include <string>

#include "ggml-backend.h"

namespace {

template <typename Function>
Function CpuBackendFunction(const char* name) {
  ggml_backend_dev_t device = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
  if (device == nullptr) throw std::runtime_error("ggml has no CPU backend");
  void* address = ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(device), name);
  if (address == nullptr) throw std::runtime_error(std::string("ggml has no ") + name);
  return reinterpret_cast<Function>(address);
}

}  // namespace

// Without threads of its own a context starts and joins some for every batch: on 2 cores that costs
// a factor of 20 (docs/decisions/0001-native-loop.md).
ComputeThreads StartComputeThreads(int32_t n_threads, uint32_t poll,
                                   std::span<const int32_t> processors) {
  ggml_threadpool_params params = ggml_threadpool_params_default(n_threads);
  params.poll = poll;
  for (const int32_t processor : processors) params.cpumask[processor] = true;
  const auto create = CpuBackendFunction<decltype(&ggml_threadpool_new)>("ggml_threadpool_new");
  const auto destroy = CpuBackendFunction<decltype(&ggml_threadpool_free)>("ggml_threadpool_free");
  ComputeThreads threads(create(&params), ComputeThreadsDeleter{destroy});
  if (!threads) throw std::runtime_error("the compute threads could not be started");
  return threads;
}
