// A second context, in which prompts are computed between the steps of sequences that decode in the
// first (background prefill, docs/decisions/0015-background-prefill.md). On a CPU, pieces small
// enough for a step cost several times as much as large pieces. Here a prompt is computed in large
// pieces, each interrupted when its time slice is over. The suffixes of several prompts behind a
// shared prefix form one piece here, because their cells lie in one stream. Engine thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "core/cell_bytes.h"
#include "core/sliced_thread.h"
#include "llama/context.h"
#include "llama/token_batch.h"
#include "schedule/step_plan.h"

class BackgroundContext {
 public:
  // `context` and `aborting` must outlive this object. Throws std::runtime_error when memory does
  // not suffice or cells cannot be moved to `context`.
  BackgroundContext(const ContextOptions& options, Context* context,
                    const std::atomic<bool>* aborting);
  ~BackgroundContext();
  BackgroundContext(const BackgroundContext&) = delete;
  BackgroundContext& operator=(const BackgroundContext&) = delete;

  // Maximum number of sequences that are computed side by side.
  int32_t max_rows() const { return static_cast<int32_t>(llama_n_seq_max(context_.get())); }

  // A sequence that is computed here.
  struct Row {
    SequenceId id = 0;
    // All known tokens. Read only by Run(), as far as the target: may be empty without one.
    std::span<const Token> tokens = {};
    // The first `n_computed` tokens are computed; initially these are the cached ones.
    int32_t n_computed = 0;
    // Tokens to compute in total; n_computed if none are wanted at the moment.
    int32_t n_target = 0;
  };

  // Replaces all rows. The computed tokens of each row must be a prefix of the computed tokens of
  // the first row; their cells are read from the id `source` of the context. False on failure.
  bool Begin(std::vector<Row> rows, CacheId source);

  // Must not change while Run() computes.
  std::vector<Row>& rows() { return rows_; }
  Row* Find(SequenceId id);

  // Computes towards the targets for about `ms`. A tensor operation in progress is finished first:
  // pieces are sized so that one operation takes at most about `slack_ms`. With an infinite slack
  // every piece has the maximum size. False when computing cannot go on.
  bool Run(double ms, double slack_ms);

  // True if the last Run ended before all targets were reached, or within a piece: the cells of its
  // tokens exist but are not computed.
  bool is_busy() const { return within_piece_ || !IsDone(); }
  // Tokens that the last Run computed, and its calls of llama_decode.
  struct Effort {
    int32_t n_tokens = 0;
    int32_t n_calls = 0;
  };
  Effort last_effort() const { return last_effort_; }

  // Moving a row takes two calls, with no Run between them: Read, not within a piece, then WriteTo,
  // which replaces the cells of the context's id `to` by all computed cells of the row. False on
  // failure; after a failed WriteTo the id `to` is empty.
  bool Read(SequenceId id);
  bool HasRead(SequenceId id) const { return read_id_ == id; }
  bool WriteTo(CacheId to);
  // Frees the buffer of Read.
  void EndMoves();

  // Drops all rows and their cells.
  void Abandon();

 private:
  // The work of the thread.
  void Compute(SlicedThread* thread) noexcept;
  bool AdoptCells() noexcept;
  bool ComputePiece() noexcept;
  bool IsDone() const;
  // True once the rows are abandoned or the engine closes.
  bool stops() const;
  // llama.cpp's evaluation callback. With `asks` it returns true for tensors after which computing
  // may pause; without, it pauses when the slice is over, and returns false to end the piece.
  bool OnTensor(const ggml_tensor* tensor, bool asks);
  bool MovesInTrial();

  Context* const main_;
  const std::atomic<bool>* const aborting_;
  const int32_t n_ubatch_;
  llama_context_ptr context_;
  TokenBatch batch_;

  // The index of a row is its sequence id in `context_`.
  std::vector<Row> rows_;
  int32_t n_piece_ = 0;
  double slack_ms_ = 0;
  bool within_piece_ = false;
  bool failed_ = false;
  std::atomic<bool> abandoned_{false};
  Effort last_effort_;
  // Cells read from the engine's context and not yet adopted, and cells to write to it.
  CellBytes incoming_;
  CellBytes outgoing_;
  // The sequence of the outgoing cells, until they are written.
  std::optional<SequenceId> read_id_;
  // The longest operation of the current piece, and the begin of the latest one.
  SlicedThread::Clock::duration max_operation_{};
  SlicedThread::Clock::time_point began_at_{};
  // The thread's own view of thread_.
  SlicedThread* slices_ = nullptr;
  // Exists only with rows. Last member: uses all members above.
  std::optional<SlicedThread> thread_;
};
