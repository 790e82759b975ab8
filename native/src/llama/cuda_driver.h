// The version of NVIDIA's driver and the capabilities of its devices, read through the library that
// every driver includes; no CUDA toolkit is needed to build or run this.
#pragma once

#include <optional>
#include <vector>

struct CudaDriver {
  // The newest CUDA whose kernels it can compile: 13000 is 13.0.
  int version = 0;
  // Compute capabilities of the devices, in their order: 90 is 9.0.
  std::vector<int> capabilities;
};

// Nothing where there is no driver, or it does not answer. Initializes it, which takes a while in a
// process that has not used it.
std::optional<CudaDriver> FindCudaDriver();
