#include "kernels/cpu_kernels.h"

#include "kernels/platform.h"

#ifdef HAVE_KERNELS

#include <dlfcn.h>

#include <string_view>
#include <vector>

#include "ggml-backend-impl.h"
#include "ggml-backend.h"
#include "kernels/attention_traits.h"
#include "kernels/cpu_backend.h"
#include "kernels/kernel_probe.h"
#include "kernels/product_traits.h"
#include "kernels/tile_matmul.h"

// ggml's own accelerators (AMX, repacked weights) are "extra buffer types": before the CPU backend
// computes an operation it asks each of them. The list and the classes are no public interface: the
// headers come from the release that the library was built from, and where the library lacks one of
// the functions, ggml stays as it is (docs/decisions/0017-cpu-kernels.md). See README.md.

namespace {

// Where a worker thread loaded the addon, Node.js closes it at the thread's end; the CPU backend,
// which stays, would be left with addresses of code that is gone.
bool StayLoaded() {
  static const char here = 0;
  Dl_info library;
  return dladdr(&here, &library) != 0 &&
         dlopen(library.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE) != nullptr;
}

class OwnKernels final : public ggml::cpu::extra_buffer_type {
 public:
  OwnKernels(const CpuBackend& backend, const TileKernel& tiles, const AttentionKernel& attention)
      : products_(backend, tiles),
        expert_products_(backend, tiles),
        attention_(backend, attention) {}

  // No tensor is ever allocated in a buffer of this type.
  bool supports_op(ggml_backend_dev_t, const ggml_tensor*) override { return false; }

  ggml::cpu::tensor_traits* get_tensor_traits(const ggml_tensor* op) override {
    if (products_.Suits(op)) return &products_;
    if (expert_products_.Suits(op)) return &expert_products_;
    return attention_.Suits(op) ? &attention_ : nullptr;
  }

  // How many operations they have computed.
  int64_t n_computed() const {
    return products_.n_computed() + expert_products_.n_computed() + attention_.n_computed();
  }

 private:
  ProductTraits products_;
  ExpertProductTraits expert_products_;
  AttentionTraits attention_;
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

// llama.cpp asks for a second list when it loads a model, a copy that the backend made when it was
// first asked. Without these entries no further model is repacked; models that are compute as
// before.
void StopRepacking(ggml_backend_dev_t device) {
  const auto list =
      reinterpret_cast<ggml_backend_dev_get_extra_bufts_t>(ggml_backend_reg_get_proc_address(
          ggml_backend_dev_backend_reg(device), "ggml_backend_dev_get_extra_bufts"));
  if (list == nullptr) return;
  ggml_backend_buffer_type_t* kept = list(device);
  for (ggml_backend_buffer_type_t* each = kept; *each != nullptr; ++each) {
    const std::string_view name = ggml_backend_buft_name(*each);
    if (name != "CPU_REPACK" && name != "AMX") *kept++ = *each;
  }
  *kept = nullptr;
}

const char* Install() {
  ggml_backend_dev_t device = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
  const std::vector<const TileKernel*> tiles = TileKernels();
  const AttentionKernel* attention = AttentionKernels().front();
  CpuBackend backend;
  if (device == nullptr || tiles.empty() || attention == nullptr ||
      !FindCpuBackend(device, &backend)) {
    return nullptr;
  }
  // Never freed: compute threads may still be at work while a process exits.
  static auto* const kernels = new OwnKernels(backend, *tiles.front(), *attention);
  static ggml_backend_buffer_type type = TypeOf(kernels, device);
  const ProbedOutputs expected = ProbeKernels(device, *tiles.front());
  std::vector<ggml_backend_buffer_type_t>& types = backend.extra_buffer_types();
  types.push_back(&type);
  const ProbedOutputs computed = ProbeKernels(device, *tiles.front());
  if (AreEqualButForRounding(expected, computed) &&
      kernels->n_computed() == static_cast<int64_t>(computed.size()) && StayLoaded()) {
    // Weights that ggml multiplies are left as it wants them.
    if (Multiplies(*tiles.front(), WeightFormat::kQ4_0)) StopRepacking(device);
    return NameOf(*tiles.front());
  }
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
