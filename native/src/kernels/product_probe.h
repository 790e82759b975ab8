// Small products of random weights, computed by ggml's CPU backend.
#pragma once

#include <vector>

#include "ggml-backend.h"

// The outputs of each product; outputs that were not computed are NaN.
using ProbedProducts = std::vector<std::vector<float>>;

// Products of each format with several numbers of inputs, and with experts. Every call uses the
// same values. Empty on failure.
ProbedProducts ProbeProducts(ggml_backend_dev_t cpu);

// True if the outputs of each product differ by no more than what the rounding of inputs to 8 bits
// explains, which ggml and the kernels do in different ways.
bool AreEqualButForRounding(const ProbedProducts& expected, const ProbedProducts& computed);
