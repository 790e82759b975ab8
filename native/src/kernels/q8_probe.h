// Small products of random Q8_0 weights, computed by ggml's CPU backend.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ggml-backend.h"

// Outputs of a product for each number of inputs. Every call uses the same values, so equal results
// mean equal kernels. Empty on failure. Outputs that were not computed are NaN, which equals
// nothing.
std::vector<float> ProbeQ8(ggml_backend_dev_t cpu, std::span<const int64_t> numbers_of_inputs);
