// Loops over vectors in registers, which have to be unrolled to stay there.
#pragma once

// Unrolled code takes minutes to compile under the address sanitizer.
#ifdef __SANITIZE_ADDRESS__
#define KERNEL_UNROLL(n)
#else
#define KERNEL_PRAGMA(text) _Pragma(#text)
#define KERNEL_UNROLL(n) KERNEL_PRAGMA(GCC unroll n)
#endif
