// A second context in which prompts are computed beside sequences that decode in the first. There a
// long one would have to be cut into pieces small enough for a step, which cost several times what
// large ones do on a CPU; here it is computed in large ones, interrupted wherever its time is over.
// And what several have behind a common beginning is one piece here, where their cells lie in one
// stream (docs/decisions/0015-background-prefill.md). Belongs to the engine thread.
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
#include "schedule/scheduler.h"

class PromptLane {
 public:
  // A lane beside `context`, which must outlive it, like `aborting`. Throws std::runtime_error when
  // its memory does not suffice or cells cannot be moved to `context`.
  PromptLane(const ContextOptions& options, Context* context, const std::atomic<bool>* aborting);
  ~PromptLane();
  PromptLane(const PromptLane&) = delete;
  PromptLane& operator=(const PromptLane&) = delete;

  // Sequences it can compute side by side.
  int32_t n_most_rows() const { return static_cast<int32_t>(llama_n_seq_max(context_.get())); }

  // One of the sequences it computes.
  struct Row {
    SequenceId id = 0;
    std::vector<llama_token> tokens = {};
    // Of the first tokens, so many are computed; at first they are those that the context holds.
    int32_t n_computed = 0;
    // How far it is to be computed; n_computed where nothing is wanted of it.
    int32_t n_target = 0;
  };

  // Starts over with `rows`. What is computed of them is the beginning of what is computed of the
  // first, and is read from `source` in the context. False when that failed.
  bool Begin(std::vector<Row> rows, CacheId source);

  // What it holds; changed while it does not run.
  std::vector<Row>& rows() { return rows_; }
  Row* Find(SequenceId id);

  // Computes for about `ms`, towards the targets. An operation that has begun is finished, and
  // pieces are chosen so that it takes no longer than about `slack_ms`; where that is infinite they
  // are as large as they can be. False when it cannot go on.
  bool Run(double ms, double slack_ms);

  // Whether the last Run has ended before all targets or amid a piece, whose tokens have cells, but
  // nothing is in them yet.
  bool is_busy() const { return within_piece_ || !IsDone(); }
  // Tokens computed by the last Run, and the calls of llama_decode that took.
  struct Effort {
    int32_t n_tokens = 0;
    int32_t n_calls = 0;
  };
  Effort last_effort() const { return last_effort_; }

  // Gives all that is computed of a row to `to` of the context, in place of what that holds: first
  // it is read, not amid a piece, then written; nothing is computed in between. False when it
  // failed; after writing, `to` is empty then.
  bool Read(SequenceId id);
  bool HasRead(SequenceId id) const { return read_id_ == id; }
  bool WriteTo(CacheId to);
  // Frees the buffer, until more is to be moved.
  void EndMoves();

  // Forgets the rows.
  void Abandon();

 private:
  // The work of the thread.
  void Compute(SlicedThread* thread) noexcept;
  bool TakeOver() noexcept;
  bool ComputePiece() noexcept;
  bool IsDone() const;
  // Whether what is computed is of no use any more.
  bool stops() const;
  // llama.cpp asks where it may be interrupted (`asks`), and comes by there. False ends the piece.
  bool ComesBy(const ggml_tensor* tensor, bool asks);
  bool MovesInTrial();

  Context* const main_;
  const std::atomic<bool>* const aborting_;
  const int32_t n_ubatch_;
  llama_context_ptr context_;
  TokenBatch batch_;

  // Their sequence ids in the lane's context are their places here.
  std::vector<Row> rows_;
  int32_t n_piece_ = 0;
  double slack_ms_ = 0;
  bool within_piece_ = false;
  bool failed_ = false;
  std::atomic<bool> abandoned_{false};
  Effort last_effort_;
  // What was read from the context and is still to be taken over, and what is to be written to it.
  CellBytes incoming_;
  CellBytes outgoing_;
  // Whose cells those are, until they are written.
  std::optional<SequenceId> read_id_;
  // The longest operation of the piece, and when the latest one began.
  SlicedThread::Clock::duration longest_{};
  SlicedThread::Clock::time_point began_at_{};
  // The thread, as it knows itself.
  SlicedThread* slices_ = nullptr;
  // Only while there is a sequence. Last: works on everything above.
  std::optional<SlicedThread> thread_;
};
