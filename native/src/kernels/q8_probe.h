// What ggml's CPU backend makes of small products of random weights in Q8_0.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ggml-backend.h"

// Outputs of a product for each number of inputs, the same for every call as long as the backend
// computes the same. Empty when it cannot compute; what it leaves out is NaN, which equals nothing.
std::vector<float> ProbeQ8(ggml_backend_dev_t cpu, std::span<const int64_t> numbers_of_inputs);
