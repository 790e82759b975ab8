// Attention for NEON.
#include "kernels/attention_kernel.h"
#include "kernels/platform.h"

#ifdef KERNELS_NEON

#include <arm_neon.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/attention.h"

#define LANE_TARGET
#define LANES "kernels/lanes_neon.inc"
#include "kernels/attention_kernel.inc"

const AttentionKernel kNeonAttention = KernelNamed("NEON");

#endif
