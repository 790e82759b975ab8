// Memory in pages of its own.
#pragma once

#include <cstddef>

// Goes back to the operating system as soon as it is freed. A heap that large blocks of all sizes
// come and go in grows by the gaps between them.
// Throws std::bad_alloc.
void* AllocatePages(size_t n_bytes);
void FreePages(void* pages, size_t n_bytes);
