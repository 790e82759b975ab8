// Random weights of every format, for the probe and for tests.
#pragma once

#include <cstddef>
#include <random>
#include <vector>

#include "kernels/weight_format.h"

// `n_records` of them: any bytes, but for scales and floats, which are from 2^-8 to 2^-3.
std::vector<std::byte> RandomWeights(WeightFormat format, size_t n_records, std::mt19937* random);
