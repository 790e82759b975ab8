#include "kernels/cpu_backend.h"

#include "kernels/platform.h"

#ifdef HAVE_KERNELS

#include <dlfcn.h>

// The library's own are not within reach of a linker.
ggml::cpu::tensor_traits::~tensor_traits() = default;
ggml::cpu::extra_buffer_type::~extra_buffer_type() = default;

namespace {

template <typename Function>
bool Find(void* library, const char* name, Function* function) {
  *function = reinterpret_cast<Function>(dlsym(library, name));
  return *function != nullptr;
}

}  // namespace

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
         Find(handle, "ggml_threadpool_chunk_add", &backend->add_chunk);
}

#endif
