// What ggml's CPU backend makes of a small product of random weights in Q8_0.
#pragma once

#include <cstdint>
#include <vector>

#include "ggml-backend.h"

// Outputs for `n_inputs` inputs, the same for every call as long as the backend computes the same.
// Empty when it cannot compute.
std::vector<float> ProbeQ8(ggml_backend_dev_t cpu, int64_t n_inputs);
