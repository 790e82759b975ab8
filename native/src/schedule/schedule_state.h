// The state that the scheduling policies share: the known sequences, the order in which they run
// and wait, the books of the KV cache, and what steps cost. Holds no policy: every policy is a file
// of its own beside this one.
//
// A sequence is a row of known tokens, of which a prefix is in the cache. A sequence that misses
// one token decodes. A sequence that misses more prefills, whether its prompt is new or it was
// preempted.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "schedule/draft_pacer.h"
#include "schedule/prefix_cache.h"
#include "schedule/scheduler_limits.h"
#include "schedule/step_pacer.h"
#include "schedule/step_plan.h"

struct ScheduledSequence {
  std::vector<Token> tokens = {};
  std::string scope = {};
  int32_t n_prompt = 0;
  // Prompt tokens whose logits are still needed begin here; n_prompt when there are none.
  int32_t logprobs_begin = 0;
  // -1 while the sequence waits.
  CacheId cache_id = -1;
  // True while the sequence's reader is too slow: it computes nothing.
  bool is_paused = false;
  // Plans made since the sequence was paused.
  int32_t n_paused_plans = 0;
  // Length of the prefix that an older sequence computes and this one waits for; 0 for none.
  int32_t n_awaited = 0;
  // Length of the prefix that a younger sequence waits for; 0 for none.
  int32_t shared_end = 0;
  // True if the current plan admitted the sequence.
  bool is_new = false;
  // True once the background prefill has failed for the sequence.
  bool avoids_background = false;
  DraftRecord drafts = {};

  int32_t n_tokens() const { return static_cast<int32_t>(tokens.size()); }
  int32_t n_sampled() const { return n_tokens() - n_prompt; }
  bool wants_logprobs() const { return logprobs_begin < n_prompt; }
};

struct ScheduleState {
  explicit ScheduleState(SchedulerLimits limits);

  const SchedulerLimits limits;
  PrefixCache cache;
  StepPacer pacer;
  // The last step computed short prompts and left long ones out.
  bool left_long_prompts_out = false;
  std::map<SequenceId, ScheduledSequence> sequences;
  // In order of admission: the last one is the youngest.
  std::vector<SequenceId> running;
  std::deque<SequenceId> waiting;
  // Running sequences whose prompts the background prefill computes.
  std::vector<SequenceId> in_background;
  // Sequences preempted since the start.
  uint64_t n_preempted = 0;

  ScheduledSequence& Get(SequenceId id) { return sequences.at(id); }
  const ScheduledSequence& Get(SequenceId id) const { return sequences.at(id); }

  int32_t n_running() const { return static_cast<int32_t>(running.size()); }
  int32_t n_cached(const ScheduledSequence& sequence) const;
  int32_t n_missing(const ScheduledSequence& sequence) const {
    return sequence.n_tokens() - n_cached(sequence);
  }
  bool IsPrefilling(const ScheduledSequence& sequence) const {
    return !sequence.is_paused && n_missing(sequence) > 1;
  }
  bool IsDecoding(const ScheduledSequence& sequence) const {
    return !sequence.is_paused && n_missing(sequence) == 1;
  }
  bool IsInBackground(SequenceId id) const;
  // Cells that running sequences hold or have been promised: all known tokens of each.
  int32_t n_promised() const;

  // The next `n_tokens` of a running sequence as a share of the batch.
  StepWork NextWork(SequenceId id, int32_t n_tokens) const;
  // Sequences of the plan that have sampled before: they must not wait for the prompts of others.
  int32_t n_decoding(const StepPlan& plan) const;
  // Prompt tokens that running sequences have to compute in batches.
  int32_t n_missing_of_prompts() const;

  // Forgets what the policies decided about running sequences for the last plan.
  void BeginPlan();
  // Makes a running sequence wait at the front of the queue. Its tokens stay in the cache like any
  // cached prefix, and may still be there when the sequence resumes.
  void Preempt(SequenceId id);
  // Forgets a sequence. Returns the cache id that it had, -1 for none.
  CacheId Forget(SequenceId id);

  // Throws std::logic_error when the books do not balance. Costs a pass over all sequences.
  void CheckIntegrity() const;
};
