// This project's kernels in ggml's CPU backend, behind ggml's accelerators and before its own
// kernels.
#pragma once

// Has every graph that the CPU computes from now on use them where they are faster. Returns the
// name of their instruction set, or nullptr where there are none: on a processor or a platform
// without them, and where the CPU backend is not built as it is known here or a probe differs by a
// bit. To call it again changes nothing. The first call must come while no context computes: a
// graph that was planned without them has too little work memory for them, and the list that
// threads read would grow beneath them.
const char* InstallCpuKernels();
