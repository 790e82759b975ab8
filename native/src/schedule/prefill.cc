#include "schedule/prefill.h"

#include <algorithm>
#include <limits>

#include "schedule/background_prefill.h"

namespace {

// A prompt's copy for the next turn of a chat ends this many tokens before the prompt does: the
// opening of the assistant's message may be rendered differently once it has an answer.
constexpr int32_t kCheckpointTail = 4;
// A shorter prompt is computed again as fast as its state is copied.
constexpr int32_t kMinCheckpoint = 16;

// Where a memory that cannot be cut copies a prompt for the next turn; 0 for nowhere.
int32_t CheckpointOf(const ScheduleState& state, const ScheduledSequence& sequence) {
  const int32_t checkpoint = sequence.n_prompt - kCheckpointTail;
  return state.cache.limits().cuts || checkpoint < kMinCheckpoint ? 0 : checkpoint;
}

// How many tokens of a prefilling sequence to compute next, at most `max_tokens`.
int32_t ChunkOf(const ScheduleState& state, const ScheduledSequence& sequence, int32_t max_tokens) {
  const int32_t n_done = state.n_cached(sequence);
  int32_t n = std::min(state.n_missing(sequence), max_tokens);
  // A leader stops at the end of the prefix that others wait for, so that all go on from there
  // together. In a memory that cannot be cut, that is also the only moment at which they can.
  const bool ends = n == state.n_missing(sequence);
  if (sequence.shared_end > n_done && (ends || !state.cache.limits().cuts)) {
    n = std::min(n, sequence.shared_end - n_done);
  }
  const int32_t checkpoint = CheckpointOf(state, sequence);
  return checkpoint > n_done ? std::min(n, checkpoint - n_done) : n;
}

void CheckpointIfDue(const ScheduledSequence& sequence, ScheduleState* state) {
  const int32_t checkpoint = CheckpointOf(*state, sequence);
  if (checkpoint > 0 && state->n_cached(sequence) == checkpoint) {
    state->cache.Checkpoint(sequence.cache_id);
  }
}

// A prompt that misses at most this part of a piece is short.
constexpr int32_t kShortPart = 4;

bool CanCompute(const ScheduleState& state, SequenceId id) {
  const ScheduledSequence& sequence = state.Get(id);
  return state.IsPrefilling(sequence) && sequence.n_awaited == 0 && !state.IsInBackground(id);
}

// True if a step should leave out prompts that miss more than a piece, because there are short ones
// and it would take several times as long. Never twice in a row.
bool LeavesLongPromptsOut(int32_t n_chunk, ScheduleState* state) {
  bool has_short = false;
  bool has_long = false;
  for (const SequenceId id : state->running) {
    if (!CanCompute(*state, id)) continue;
    const int32_t n_missing = state->n_missing(state->Get(id));
    has_short = has_short || n_missing <= n_chunk / kShortPart;
    has_long = has_long || n_missing > n_chunk;
  }
  state->left_long_prompts_out = has_short && has_long && !state->left_long_prompts_out;
  return state->left_long_prompts_out;
}

// What a step has left for prompts.
struct StepRoom {
  // Tokens of the batch, and of the part that unfinished prompts share.
  int32_t n_spare;
  int32_t n_chunk;
  // Rows of logits.
  int32_t n_rows;
};

StepRoom RoomOf(const ScheduleState& state, const StepPlan& plan) {
  const SchedulerLimits& limits = state.limits;
  const int32_t n_decoding = state.n_decoding(plan);
  const auto n_work = static_cast<int32_t>(plan.work.size());
  StepRoom room = {.n_spare = limits.n_batch - n_work,
                   .n_chunk = std::max(1, limits.n_ubatch - n_work),
                   .n_rows = limits.max_logprob_rows};
  room.n_chunk = std::min(room.n_chunk, room.n_spare);
  if (n_decoding > 0) {
    const double share = plan.background ? 0.5 : 1;
    const int32_t n = state.pacer.Chunk(n_decoding, state.n_missing_of_prompts(), share);
    room.n_chunk = std::min(room.n_chunk, n);
  } else if (!plan.background) {
    room.n_chunk = std::min(room.n_chunk, state.pacer.ChunkAlone());
  }
  if (n_decoding > 0 || plan.background) room.n_spare = room.n_chunk;
  return room;
}

}  // namespace

void AddPrefills(ScheduleState* state, StepPlan* plan) {
  StepRoom room = RoomOf(*state, *plan);
  const bool leaves_out = LeavesLongPromptsOut(room.n_chunk, state);
  const int32_t max_missing = leaves_out ? room.n_chunk : std::numeric_limits<int32_t>::max();
  const bool is_idle = state->n_decoding(*plan) == 0;
  const int32_t n_ubatch = state->limits.n_ubatch;

  for (const SequenceId id : state->running) {
    const ScheduledSequence& sequence = state->Get(id);
    if (!CanCompute(*state, id) || room.n_spare <= 0) continue;
    const int32_t n_missing = state->n_missing(sequence);
    if (n_missing > max_missing) continue;
    // The background prefill computes this one next.
    if (plan->background && is_idle && IsWorthBackground(*state, sequence, n_ubatch)) continue;
    const bool fits = n_missing <= std::min(room.n_spare, n_ubatch);
    int32_t max_tokens = room.n_chunk <= 0 || fits ? room.n_spare : room.n_chunk;
    if (sequence.wants_logprobs()) max_tokens = std::min(max_tokens, room.n_rows);
    if (max_tokens <= 0) continue;
    const int32_t n = ChunkOf(*state, sequence, max_tokens);
    if (room.n_chunk <= 0 && n < n_missing) continue;
    CheckpointIfDue(sequence, state);
    plan->work.push_back(state->NextWork(id, n));
    room.n_chunk -= n;
    room.n_spare -= n;
    if (sequence.wants_logprobs()) room.n_rows -= n;
  }
}
