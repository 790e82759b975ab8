// A second context in which one long prompt is computed beside sequences that decode in the first.
// There it would have to be cut into pieces small enough for a step, which cost several times what
// large ones do on a CPU; here it is computed in large ones, interrupted wherever its time is over
// (docs/decisions/0015-prompt-lane.md). Belongs to the engine thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "cell_bytes.h"
#include "context.h"
#include "sliced_thread.h"
#include "token_batch.h"

class PromptLane {
 public:
  // A lane beside `context`, which must outlive it, like `aborting`. Throws std::runtime_error when
  // its memory does not suffice or cells cannot be moved to `context`.
  PromptLane(const ContextOptions& options, Context* context, const std::atomic<bool>* aborting);
  ~PromptLane();
  PromptLane(const PromptLane&) = delete;
  PromptLane& operator=(const PromptLane&) = delete;

  // Starts over with `tokens`, of which the first `n_held` are read from `source` in the context.
  // False when that failed.
  bool Begin(std::span<const llama_token> tokens, int32_t n_held, CacheId source);

  // Computes for about `ms`, towards token `n_target`. An operation that has begun is finished, and
  // pieces are chosen so that it takes no longer than about `slack_ms`; where that is infinite they
  // are as large as they can be. False when it cannot go on.
  bool Run(int32_t n_target, double ms, double slack_ms);

  // Tokens of the sequence that are computed.
  int32_t n_computed() const { return n_computed_; }
  // Whether the last Run has ended amid a piece: its tokens have cells, but nothing is in them yet.
  bool is_within_piece() const { return within_piece_; }
  // Tokens computed by the last Run, and the calls of llama_decode that took.
  struct Effort {
    int32_t n_tokens = 0;
    int32_t n_calls = 0;
  };
  Effort last_effort() const { return last_effort_; }

  // Gives all that is computed to `id` of the context, in place of what that holds: first it is
  // read, not amid a piece, then written; nothing is computed in between. False when it failed;
  // after writing, `id` is empty then.
  bool Read();
  bool has_read() const { return !outgoing_.empty(); }
  bool WriteTo(CacheId id);

  // Forgets the sequence.
  void Abandon();

 private:
  // The work of the thread.
  void Compute(SlicedThread* thread) noexcept;
  bool TakeOver() noexcept;
  bool ComputePiece(int32_t n) noexcept;
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

  std::vector<llama_token> tokens_;
  int32_t n_computed_ = 0;
  int32_t n_target_ = 0;
  int32_t n_piece_ = 0;
  double slack_ms_ = 0;
  bool within_piece_ = false;
  bool failed_ = false;
  std::atomic<bool> abandoned_{false};
  Effort last_effort_;
  // What was read from the context and is still to be taken over, and what is to be written to it.
  CellBytes incoming_;
  CellBytes outgoing_;
  // The longest operation of the piece, and when the latest one began.
  SlicedThread::Clock::duration longest_{};
  SlicedThread::Clock::time_point began_at_{};
  // The thread, as it knows itself.
  SlicedThread* slices_ = nullptr;
  // Only while there is a sequence. Last: works on everything above.
  std::optional<SlicedThread> thread_;
};
