#include "kernels/cpu_kernels.h"

#if defined(__linux__) && defined(__x86_64__)

#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "ggml-backend-impl.h"
#include "ggml-backend.h"
#include "ggml-cpu-impl.h"
#include "ggml-cpu.h"
#include "kernels/q8_matmul.h"
#include "kernels/q8_probe.h"
#include "traits.h"

// ggml's own accelerators (AMX, repacked weights) are "extra buffer types": before the CPU backend
// computes an operation it asks each of them. The list and the classes are no public interface: the
// headers come from the release that the library was built from, and where the library lacks one of
// the functions, ggml stays as it is (docs/decisions/0017-cpu-kernels.md). See README.md.

// The library's own are not within reach of a linker.
ggml::cpu::tensor_traits::~tensor_traits() = default;
ggml::cpu::extra_buffer_type::~extra_buffer_type() = default;

namespace {

// The functions of the CPU backend that is in use; a process may hold several.
struct CpuBackend {
  decltype(&ggml_backend_cpu_get_extra_buffer_types) extra_buffer_types;
  decltype(&ggml_barrier) barrier;
  decltype(&ggml_threadpool_chunk_set) set_chunk;
  decltype(&ggml_threadpool_chunk_add) add_chunk;
  decltype(&ggml_get_type_traits_cpu) type_traits;
};

template <typename Function>
bool Find(void* library, const char* name, Function* function) {
  *function = reinterpret_cast<Function>(dlsym(library, name));
  return *function != nullptr;
}

bool FindCpuBackend(ggml_backend_dev_t device, CpuBackend* backend) {
  void* known = ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(device),
                                                  "ggml_threadpool_new");
  Dl_info library;
  if (known == nullptr || dladdr(known, &library) == 0) return false;
  void* handle = dlopen(library.dli_fname, RTLD_NOW | RTLD_NOLOAD);
  return handle != nullptr &&
         Find(handle, "_Z39ggml_backend_cpu_get_extra_buffer_typesv",
              &backend->extra_buffer_types) &&
         Find(handle, "ggml_barrier", &backend->barrier) &&
         Find(handle, "ggml_threadpool_chunk_set", &backend->set_chunk) &&
         Find(handle, "ggml_threadpool_chunk_add", &backend->add_chunk) &&
         Find(handle, "ggml_get_type_traits_cpu", &backend->type_traits);
}

// Where a worker thread loaded the addon, Node.js closes it at the thread's end; the CPU backend,
// which stays, would be left with addresses of code that is gone.
bool StayLoaded() {
  static const char here = 0;
  Dl_info library;
  return dladdr(&here, &library) != 0 &&
         dlopen(library.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE) != nullptr;
}

bool IsMatrix(const ggml_tensor* tensor) { return tensor->ne[2] == 1 && tensor->ne[3] == 1; }

size_t BlocksOf(const ggml_tensor* op) { return op->src[0]->ne[0] / Q8Block::kValues; }
size_t InputsOf(const ggml_tensor* op) { return op->src[1]->ne[1]; }

// Multiplications with weights in Q8_0.
class Q8Traits final : public ggml::cpu::tensor_traits {
 public:
  Q8Traits(const CpuBackend& backend, const Q8Kernel& kernel)
      : backend_(backend),
        kernel_(kernel),
        quantize_(backend.type_traits(GGML_TYPE_Q8_0)->from_float) {}

  // Decided by what does not change between a graph's planning and its computing.
  bool Suits(const ggml_tensor* op) const {
    if (op->op != GGML_OP_MUL_MAT) return false;
    const ggml_tensor* weights = op->src[0];
    const ggml_tensor* inputs = op->src[1];
    // Weights that another accelerator has laid out anew are in no host buffer.
    return weights->type == GGML_TYPE_Q8_0 && inputs->type == GGML_TYPE_F32 && IsMatrix(weights) &&
           IsMatrix(inputs) && InputsOf(op) <= kernel_.n_max_inputs &&
           weights->nb[0] == sizeof(Q8Block) && weights->nb[1] % sizeof(Q8Block) == 0 &&
           inputs->nb[0] == sizeof(float) && op->nb[0] == sizeof(float) &&
           weights->buffer != nullptr && ggml_backend_buffer_is_host(weights->buffer);
  }

  bool work_size(int, const ggml_tensor* op, size_t& size) override {
    size = Q8WorkBytes(BlocksOf(op), InputsOf(op));
    return true;
  }

  // Called by every compute thread, each with its number.
  bool compute_forward(ggml_compute_params* params, ggml_tensor* op) override {
    const ggml_tensor* weights = op->src[0];
    const ggml_tensor* inputs = op->src[1];
    const Q8Product product{
        .weights = static_cast<const Q8Block*>(weights->data),
        .n_rows = static_cast<size_t>(weights->ne[1]),
        .n_blocks = BlocksOf(op),
        .row_stride = weights->nb[1] / sizeof(Q8Block),
        .inputs = static_cast<const float*>(inputs->data),
        .n_inputs = InputsOf(op),
        .input_stride = inputs->nb[1] / sizeof(float),
        .outputs = static_cast<float*>(op->data),
        .output_stride = op->nb[1] / sizeof(float),
        .work = static_cast<std::byte*>(params->wdata),
    };
    const auto thread = static_cast<size_t>(params->ith);
    const auto n_threads = static_cast<size_t>(params->nth);
    PackQ8Inputs(product, quantize_, product.n_blocks * thread / n_threads,
                 product.n_blocks * (thread + 1) / n_threads);
    // As in ggml: every thread starts with one chunk, and takes the next one when it is done.
    if (thread == 0) backend_.set_chunk(params->threadpool, params->nth);
    backend_.barrier(params->threadpool);
    const size_t n_chunks = n_threads * kChunksPerThread;
    for (size_t chunk = thread; chunk < n_chunks;
         chunk = static_cast<size_t>(backend_.add_chunk(params->threadpool, 1))) {
      MultiplyQ8Rows(kernel_, product, product.n_rows * chunk / n_chunks,
                     product.n_rows * (chunk + 1) / n_chunks);
    }
    if (thread == 0) n_products_.fetch_add(1, std::memory_order_relaxed);
    return true;
  }

  int64_t n_products() const { return n_products_.load(std::memory_order_relaxed); }

 private:
  // So that a thread that lost its core for a while does not keep the others waiting.
  static constexpr size_t kChunksPerThread = 4;

  CpuBackend backend_;
  const Q8Kernel& kernel_;
  QuantizeQ8 quantize_;
  std::atomic<int64_t> n_products_ = 0;
};

class OwnKernels final : public ggml::cpu::extra_buffer_type {
 public:
  OwnKernels(const CpuBackend& backend, const Q8Kernel& kernel) : q8_(backend, kernel) {}

  // No tensor is ever allocated in a buffer of this type.
  bool supports_op(ggml_backend_dev_t, const ggml_tensor*) override { return false; }

  ggml::cpu::tensor_traits* get_tensor_traits(const ggml_tensor* op) override {
    return q8_.Suits(op) ? &q8_ : nullptr;
  }

  // How many they have computed.
  int64_t n_products() const { return q8_.n_products(); }

 private:
  Q8Traits q8_;
};

// As the CPU backend wants to see it, which never allocates one.
ggml_backend_buffer_type TypeOf(ggml::cpu::extra_buffer_type* kernels, ggml_backend_dev_t device) {
  ggml_backend_buffer_type type{};
  type.iface.get_name = [](ggml_backend_buffer_type_t) { return "OwnKernels"; };
  type.iface.alloc_buffer = [](ggml_backend_buffer_type_t, size_t) -> ggml_backend_buffer_t {
    return nullptr;
  };
  type.iface.get_alignment = [](ggml_backend_buffer_type_t) { return sizeof(float); };
  type.device = device;
  type.context = kernels;
  return type;
}

// Every number that one group may have, and more than a group.
constexpr std::array<int64_t, 9> kProbeInputs = {1, 2, 3, 4, 5, 6, 7, 8, 11};

const char* Install() {
  ggml_backend_dev_t device = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
  const Q8Kernel* kernel = Q8Kernels().front();
  CpuBackend backend;
  if (device == nullptr || kernel == nullptr || !FindCpuBackend(device, &backend) ||
      ggml_type_size(GGML_TYPE_Q8_0) != sizeof(Q8Block)) {
    return nullptr;
  }
  // Never freed: compute threads may still be at work while a process exits.
  static auto* const kernels = new OwnKernels(backend, *kernel);
  static ggml_backend_buffer_type type = TypeOf(kernels, device);
  const std::vector<float> expected = ProbeQ8(device, kProbeInputs);
  std::vector<ggml_backend_buffer_type_t>& types = backend.extra_buffer_types();
  types.push_back(&type);
  // Equal bit for bit, or not at all.
  const bool is_equal = ProbeQ8(device, kProbeInputs) == expected;
  const auto n_suited = std::count_if(
      kProbeInputs.begin(), kProbeInputs.end(),
      [&](int64_t n_inputs) { return static_cast<size_t>(n_inputs) <= kernel->n_max_inputs; });
  if (is_equal && kernels->n_products() == n_suited && StayLoaded()) return kernel->name;
  types.pop_back();
  return nullptr;
}

}  // namespace

const char* InstallCpuKernels() {
  static const char* const name = Install();
  return name;
}

#else

const char* InstallCpuKernels() { return nullptr; }

#endif
