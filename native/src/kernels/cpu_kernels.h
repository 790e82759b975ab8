// This project's kernels in ggml's CPU backend, behind ggml's accelerators and before its own
// kernels.
#pragma once

// Makes every graph that the CPU computes from now on use the kernels, and every model that is
// loaded from now on keep its weights as they are in the file, which is how the kernels read them
// (ggml would copy some formats into a layout of its own). Returns the name of their instruction
// set. Returns nullptr on a processor or platform without kernels, and where the CPU backend has
// another layout than expected or the probe finds other products than ggml's. Further calls change
// nothing. The first call must come while no context computes: a graph that was planned without the
// kernels has too little work memory for them, and the list that threads read would grow beneath
// them.
const char* InstallCpuKernels();
