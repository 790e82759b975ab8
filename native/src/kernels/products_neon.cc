// Products of weights that are floats, for NEON. Those of quantized weights are left to ggml there
// (docs/decisions/0032-products-of-floats.md).
#include "kernels/platform.h"
#include "kernels/tile.h"

#ifdef KERNELS_NEON

#include <arm_neon.h>

#include "kernels/lanes.h"

#define LANE_TARGET
#define LANES "kernels/lanes_neon.inc"
#include "kernels/float_kernel.inc"

namespace {
constexpr FloatKernel kNeonFloats = kFloats;
}

const TileKernel kNeonProducts = {.name = "NEON", .floats = kNeonFloats};

#endif
