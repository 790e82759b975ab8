// Where the kernels can be called: ggml's CPU backend is found by the names of its functions in a
// shared library (cpu_backend.cc), which is how Linux has it.
#pragma once

#if defined(__linux__) && defined(__x86_64__)
#define KERNELS_X86
#elif defined(__linux__) && defined(__aarch64__)
#define KERNELS_NEON
#endif

#if defined(KERNELS_X86) || defined(KERNELS_NEON)
#define HAVE_KERNELS
#endif
