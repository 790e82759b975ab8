// How a context's KV cache is edited: the calls of llama_memory_* and of llama_state_seq_*.
#include <new>
#include <utility>

#include "llama/context.h"
#include "llama/memory_limits.h"

void Context::EndCopies() {
  copied_id_ = -1;
  copied_cells_ = CellBytes{};
}

bool Context::Apply(const CacheEdit& edit) {
  llama_memory_t memory = llama_get_memory(context_.get());
  bool done = true;
  switch (edit.kind) {
    case CacheEdit::Kind::kCopy:
      done = Copy(edit);
      break;
    case CacheEdit::Kind::kCut:
      done = llama_memory_seq_rm(memory, edit.id, edit.n_tokens, -1);
      break;
    case CacheEdit::Kind::kClear:
      Clear(edit.id);
      break;
    case CacheEdit::Kind::kSwap:
      done = Swap(edit);
      break;
    case CacheEdit::Kind::kStore:
      Store(edit);
      break;
    case CacheEdit::Kind::kRestore:
      done = Restore(edit);
      break;
    case CacheEdit::Kind::kDiscard:
      stored_cells_.erase(edit.stored_id);
      return true;
  }
  if (edit.id == copied_id_) copied_id_ = -1;
  if (!done) Clear(edit.id);
  return done;
}

bool Context::Copy(const CacheEdit& edit) {
  llama_memory_t memory = llama_get_memory(context_.get());
  // Only within one stream can a part be copied; llama.cpp ends the process over anything else.
  if (unified_ && cuts_) {
    llama_memory_seq_cp(memory, edit.source, edit.id, 0, edit.n_tokens);
    return true;
  }
  if (!CopyCells(edit)) {
    llama_memory_seq_cp(memory, edit.source, edit.id, -1, -1);
    has_pending_copies_ = true;
  }
  return !cuts_ || llama_memory_seq_rm(memory, edit.id, edit.n_tokens, -1);
}

// False when nothing was done. Several copies of one sequence read it once.
bool Context::CopyCells(const CacheEdit& edit) {
  if (!copies_cells_ || has_pending_copies_) return false;
  if (edit.source != copied_id_) {
    const size_t n_bytes = llama_state_seq_get_size(context_.get(), edit.source);
    const bool is_long = !copies_long_ && 2 * n_cached(edit.source) > n_ctx_;
    if (n_bytes > kMaxMovedBytes || is_long) return false;
    copied_id_ = -1;
    if (!ReadCells(edit.source, &copied_cells_)) return false;
    copied_id_ = edit.source;
  }
  return SetCells(edit.id, copied_cells_);
}

bool Context::Swap(const CacheEdit& edit) {
  CellBytes ours;
  CellBytes theirs;
  bool done = ReadCells(edit.id, &ours) && ReadCells(edit.source, &theirs);
  Clear(edit.id);
  Clear(edit.source);
  copied_id_ = -1;
  done = done && SetCells(edit.id, theirs) && SetCells(edit.source, ours);
  if (!done) Clear(edit.source);
  return done;
}

// Where it cannot be done, the cells are missing when they are to be restored.
void Context::Store(const CacheEdit& edit) {
  CellBytes cells;
  try {
    if (ReadCells(edit.id, &cells)) stored_cells_.emplace(edit.stored_id, std::move(cells));
  } catch (const std::bad_alloc&) {
    // There is less memory than the limit says.
  }
}

// The books forget a prefix that cannot be restored, so its cells must go as well.
bool Context::Restore(const CacheEdit& edit) {
  const auto found = stored_cells_.find(edit.stored_id);
  if (found == stored_cells_.end()) return false;
  const bool done =
      !has_pending_copies_ && SetCells(edit.id, found->second) &&
      llama_memory_seq_rm(llama_get_memory(context_.get()), edit.id, edit.n_tokens, -1);
  if (!done) stored_cells_.erase(found);
  return done;
}

bool Context::SetCells(CacheId id, const CellBytes& cells) {
  return llama_state_seq_set_data(context_.get(), cells.data(), cells.size(), id) == cells.size();
}

// llama.cpp makes pending copies with the next decode: until then the cells must be neither read
// nor written.
bool Context::ReadCells(CacheId id, CellBytes* cells) {
  return !has_pending_copies_ && ReadCellsOf(context_.get(), id, cells);
}

bool ReadCellsOf(llama_context* context, llama_seq_id id, CellBytes* cells) {
  const size_t n_bytes = llama_state_seq_get_size(context, id);
  cells->reserve(n_bytes + kMaxRestreamGrowth);
  cells->resize(n_bytes);
  return n_bytes > 0 && llama_state_seq_get_data(context, cells->data(), n_bytes, id) == n_bytes;
}

bool Context::WriteCells(CacheId id, CellBytes* cells) {
  if (id == copied_id_) copied_id_ = -1;
  const bool done = !has_pending_copies_ && Restream(llama_n_seq_max(context_.get()), cells) &&
                    SetCells(id, *cells);
  if (!done) Clear(id);
  return done;
}

int32_t Context::n_cached(CacheId id) const {
  return 1 + llama_memory_seq_pos_max(llama_get_memory(context_.get()), id);
}

// Removing all of a sequence never fails.
void Context::Clear(CacheId id) {
  llama_memory_seq_rm(llama_get_memory(context_.get()), id, -1, -1);
}
