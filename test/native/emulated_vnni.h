#pragma once

#include "kernels/tile.h"

// Runs wherever the kernels for AVX2 run.
extern const TileKernel kEmulatedVnniTiles;
