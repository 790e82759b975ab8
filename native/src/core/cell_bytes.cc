#include "core/cell_bytes.h"

#include <cstring>

namespace {

constexpr size_t kWord = sizeof(uint32_t);
constexpr size_t kStreamCountAt = 2 * kWord;
constexpr size_t kStreamsAt = 3 * kWord;

uint32_t WordAt(const CellBytes& cells, size_t at) {
  uint32_t word = 0;
  std::memcpy(&word, cells.data() + at, kWord);
  return word;
}

}  // namespace

bool Restream(uint32_t n_streams, CellBytes* cells) {
  if (cells->size() < kStreamsAt || n_streams == 0) return false;
  const uint32_t n_before = WordAt(*cells, kStreamCountAt);
  const size_t n_empty = n_before == 0 ? 0 : n_before - 1;
  if (n_before == 0 || cells->size() < kStreamsAt + (n_empty + 1) * kWord) return false;

  size_t n_leading = 0;
  while (n_leading < n_empty && WordAt(*cells, kStreamsAt + n_leading * kWord) == 0) ++n_leading;
  const size_t n_trailing = n_empty - n_leading;
  for (size_t i = 1; i <= n_trailing; ++i) {
    if (WordAt(*cells, cells->size() - i * kWord) != 0) return false;
  }
  cells->resize(cells->size() - n_trailing * kWord);
  const auto streams = cells->begin() + static_cast<ptrdiff_t>(kStreamsAt);
  cells->erase(streams, streams + static_cast<ptrdiff_t>(n_leading * kWord));

  std::memcpy(cells->data() + kStreamCountAt, &n_streams, kWord);
  cells->resize(cells->size() + (n_streams - 1) * kWord, 0);
  return true;
}
