#include "llama/cuda_driver.h"

#ifndef _WIN32
#include <dlfcn.h>
#endif

#ifdef _WIN32

std::optional<CudaDriver> FindCudaDriver() { return std::nullopt; }

#else

namespace {

// CUdevice_attribute, see the CUDA driver API.
constexpr int kCapabilityMajor = 75;
constexpr int kCapabilityMinor = 76;

template <typename Function>
Function Find(void* library, const char* name) {
  return reinterpret_cast<Function>(dlsym(library, name));
}

std::optional<CudaDriver> Ask(void* library) {
  const auto init = Find<int (*)(unsigned)>(library, "cuInit");
  const auto version = Find<int (*)(int*)>(library, "cuDriverGetVersion");
  const auto count = Find<int (*)(int*)>(library, "cuDeviceGetCount");
  const auto device = Find<int (*)(int*, int)>(library, "cuDeviceGet");
  const auto attribute = Find<int (*)(int*, int, int)>(library, "cuDeviceGetAttribute");
  if (!init || !version || !count || !device || !attribute) return std::nullopt;

  CudaDriver driver;
  int n_devices = 0;
  if (init(0) != 0 || version(&driver.version) != 0 || count(&n_devices) != 0) return std::nullopt;
  for (int i = 0; i < n_devices; ++i) {
    int handle = 0;
    int major = 0;
    int minor = 0;
    const bool known = device(&handle, i) == 0 &&
                       attribute(&major, kCapabilityMajor, handle) == 0 &&
                       attribute(&minor, kCapabilityMinor, handle) == 0;
    if (known) driver.capabilities.push_back(10 * major + minor);
  }
  return driver;
}

}  // namespace

std::optional<CudaDriver> FindCudaDriver() {
  // Never closed: llama.cpp may compute with the driver, which does not support unloading.
  void* library = dlopen("libcuda.so.1", RTLD_NOW);
  return library == nullptr ? std::nullopt : Ask(library);
}

#endif
