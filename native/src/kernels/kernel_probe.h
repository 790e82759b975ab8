// Small operations on random operands, computed by ggml's CPU backend.
#pragma once

#include <vector>

#include "ggml-backend.h"
#include "kernels/tile_matmul.h"

// The outputs of each operation; outputs that were not computed are NaN.
using ProbedOutputs = std::vector<std::vector<float>>;

// Products of each format that `tiles` multiply, with several numbers of inputs and with experts,
// and attention of one and of many tokens. Every call uses the same values. Empty on failure.
ProbedOutputs ProbeKernels(ggml_backend_dev_t cpu, const TileKernel& tiles);

// True if the outputs of each operation differ by no more than rounding: of inputs to 8 bits, which
// ggml and the kernels do in different ways, and of ggml's sums to 16.
bool AreEqualButForRounding(const ProbedOutputs& expected, const ProbedOutputs& computed);
