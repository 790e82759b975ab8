// This project's kernels, in front of ggml's own in ggml's CPU backend.
#pragma once

// Has every graph that the CPU computes from now on use them where they are faster. Returns the
// name of their instruction set, or nullptr where there are none: on a processor or a platform
// without them, or when the CPU backend is not built as it is known here. Call it on one thread,
// before the first context computes; to call it again changes nothing.
const char* InstallCpuKernels();
