// Which sequences run, and how many tokens of each the next step computes. Policy only: no tensor,
// no llama.cpp, no thread.
//
// A sequence is a row of known tokens, of which a prefix is in the KV cache. One that misses a
// single token is decoding; one that misses more is prefilling, whether its prompt is new or it
// lost its cache to a neighbour. That is all the state there is.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <vector>

using SequenceId = uint64_t;

struct SchedulerLimits {
  // Sequences that run at once, at least 1.
  int32_t n_slots = 1;
  // KV cells that all running sequences share.
  int32_t n_kv_tokens = 0;
  // Tokens one step may compute, at least n_slots.
  int32_t n_batch = 2048;
  // Prompt tokens among them while somebody decodes: bounds how long a prompt stalls its
  // neighbours.
  int32_t n_chunk = 512;
};

// One sequence's share of a step.
struct StepWork {
  SequenceId id = 0;
  // The slot it runs in; also its llama_seq_id.
  int32_t slot = 0;
  // Index of its first token to compute, and how many follow from there.
  int32_t first = 0;
  int32_t n_tokens = 0;
  // Whether the last of them is the last known token, so that the next one can be sampled.
  bool samples = false;
};

// A sequence that must give its cells back before the step.
struct Eviction {
  SequenceId id = 0;
  int32_t slot = 0;
};

struct StepPlan {
  std::vector<Eviction> evictions;
  std::vector<StepWork> work;

  bool empty() const { return work.empty(); }
};

class Scheduler {
 public:
  explicit Scheduler(SchedulerLimits limits);

  // Queues a sequence of `n_tokens` known tokens behind those that wait.
  // Requires an unused id and 1 <= n_tokens <= n_kv_tokens.
  void Add(SequenceId id, int32_t n_tokens);

  // Forgets a sequence. Returns the slot it held, -1 if it held none.
  int32_t Remove(SequenceId id);

  // A held sequence computes nothing: its reader is too slow. It keeps its slot and cells until
  // others have waited for them long enough.
  void SetHeld(SequenceId id, bool held);

  // Decides the next step. Decoding sequences come first, one token each; then prompts, oldest
  // first, up to the token budget; then waiting sequences, in order, while there is a slot and room
  // for all their tokens. Two things cost a running sequence its cells, so that it waits at the
  // front of the queue and starts over: no room for the others' next tokens, and being held while
  // somebody waits. Held sequences go first, then the youngest.
  StepPlan Plan();

  // The step was computed: its tokens are in the cache.
  void Commit(const StepPlan& plan);

  // A token was sampled; the sequence knows one more than its cache holds.
  void Append(SequenceId id);

  // Takes the cells of one running sequence, for when the cache found no room although the plan saw
  // some. False when no more than one runs, so that nothing would be gained.
  bool EvictOne(Eviction* eviction);

  int32_t n_running() const { return static_cast<int32_t>(running_.size()); }
  int32_t n_waiting() const { return static_cast<int32_t>(waiting_.size()); }
  // Cells in use: tokens in the cache, over all running sequences.
  int32_t n_used() const;
  // Sequences that lost their cells, since the start.
  uint64_t n_evicted() const { return n_evicted_; }

  // Throws std::logic_error when the books do not balance. Costs a pass over all sequences.
  void CheckIntegrity() const;

 private:
  struct Sequence {
    int32_t n_tokens = 0;
    int32_t n_cached = 0;
    int32_t slot = -1;
    bool held = false;
    // Plans made since it was held.
    int32_t n_held_plans = 0;

    int32_t n_missing() const { return n_tokens - n_cached; }
  };

  // Cells that running sequences have been promised: all known tokens of each.
  int32_t n_promised() const;
  // Whether a waiting sequence finds a slot, cells for all its tokens, and enough beside them for
  // what the others decode while it is prefilled.
  bool Fits(const Sequence& sequence) const;
  // Frees cells until one more token for each decoding sequence fits.
  void MakeRoomToDecode(StepPlan* plan);
  // Takes slots and cells from sequences held for at least `n_plans`, while somebody else waits for
  // them.
  void EvictHeld(int32_t n_plans, StepPlan* plan);
  void Admit(int32_t budget, StepPlan* plan);
  // Whom to evict: the youngest held sequence, else the youngest.
  SequenceId Victim() const;
  Eviction Evict(SequenceId id);
  int32_t TakeLowestSlot();
  static StepWork Share(SequenceId id, const Sequence& sequence, int32_t n_tokens);

  const SchedulerLimits limits_;
  std::map<SequenceId, Sequence> sequences_;
  // In order of admission: the last one is the youngest.
  std::vector<SequenceId> running_;
  std::deque<SequenceId> waiting_;
  // True where the slot is taken.
  std::vector<bool> slots_;
  uint64_t n_evicted_ = 0;
};
