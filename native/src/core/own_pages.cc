#include "core/own_pages.h"

#include <new>

#ifdef _WIN32

void* AllocatePages(size_t n_bytes) { return ::operator new(n_bytes); }
void FreePages(void* pages, size_t) { ::operator delete(pages); }

#else

#include <sys/mman.h>

void* AllocatePages(size_t n_bytes) {
  void* pages = mmap(nullptr, n_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) throw std::bad_alloc();
  return pages;
}

void FreePages(void* pages, size_t n_bytes) { munmap(pages, n_bytes); }

#endif
