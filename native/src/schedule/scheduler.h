// Which sequences run, and how many tokens of each the next step computes. Policy only: no tensor,
// no llama.cpp, no thread, no clock.
//
// Plan() asks one policy after the other. Each is a file of its own: admission, preemption,
// shared_prefix, slot_compaction, background_prefill, prefill, drafting. What they share is
// ScheduleState.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "schedule/drafting.h"
#include "schedule/schedule_state.h"
#include "schedule/scheduler_limits.h"
#include "schedule/slot_compaction.h"
#include "schedule/step_plan.h"

class Scheduler {
 public:
  explicit Scheduler(SchedulerLimits limits);

  // Queues a sequence that starts from `tokens` behind the waiting ones. Only sequences of equal
  // scope share what they computed. Requires an unused id and 1 to n_cells tokens. A sequence that
  // `wants_prompt_logprobs` computes all of its prompt itself, in pieces of max_logprob_rows at
  // most, since cached tokens have no logits; others may use what it computes.
  void Add(SequenceId id, std::vector<Token> tokens, std::string scope,
           bool wants_prompt_logprobs = false);

  // Forgets a sequence that ended without an error; what it computed becomes a cached prefix.
  void Finish(SequenceId id);

  // Forgets a sequence and what it computed.
  void Drop(SequenceId id);

  // A paused sequence computes nothing: its reader is too slow. It keeps its slot until others have
  // waited for it long enough.
  void SetPaused(SequenceId id, bool paused);

  // The sequences that are worth a draft before the next plan, if any: some that decode, while no
  // prompt is to be computed. The result is valid until the next call that changes anything.
  std::vector<DraftCall> DraftCalls();

  // `draft` may follow the known tokens of a sequence; empty when drafting took time and found
  // nothing. The next plan takes it along, or forgets it. Known and draft tokens together must fit
  // the memory of one sequence.
  void AddDraft(SequenceId id, std::vector<Token> draft);

  // A draft model returned `n_drafted` tokens and took so long.
  void MeasuredDrafting(int32_t n_drafted, double ms);

  // Decides the next step. Decoding sequences come first, one token each; then prompts, oldest
  // first, as many tokens as the time allows, or in the background prefill; then drafts, where
  // neither prompts nor cells stand in their way. Cached prefixes give way to running sequences.
  // Two things preempt a running sequence, which then waits at the front of the queue: no room for
  // the next tokens of the others, and a waiting sequence while it is paused. Paused sequences are
  // preempted first, then the youngest.
  StepPlan Plan();

  // The step was computed: its tokens are in the cache, draft tokens as well.
  void Commit(const StepPlan& plan);

  // Of a share of the plan's background prefill `n_tokens` were computed and are in the cache, at
  // least one: all of them, or others of the prompt where the plan has changed since.
  void CommitBackground(const BackgroundShare& share, int32_t n_tokens);

  // The background prefill could not compute a share: the batch computes the sequence. Its cached
  // tokens are lost if `emptied`.
  void BackgroundFailed(const BackgroundShare& share, bool emptied);

  // How long the batch took, from which the size of the next ones follows.
  void Measured(const StepPlan& plan, double ms);

  // Tokens were sampled after a commit, at least one. Accepted draft tokens are in the cache
  // already; rejected ones are cut from it. The last token was not drafted, unless the sequence
  // ends. Returns how many draft tokens were accepted.
  int32_t Append(SequenceId id, std::span<const Token> tokens);

  // For when the memory found no room although the plan saw some: suspends drafts, else drops a
  // cached prefix, else preempts a sequence. False when one sequence runs and no prefix is cached,
  // so that nothing would be gained.
  bool MakeRoom(const StepPlan& plan);

  // An edit could not be made and the ids that it changes were emptied instead. The plan must not
  // be carried out; from now on prefixes are used whole or not at all, unless a stored one was
  // missing.
  void EditFailed(const CacheEdit& edit);

  // All known tokens of a sequence, its prompt first: the only place where they are kept. Valid
  // until the sequence samples or ends.
  std::span<const Token> tokens(SequenceId id) const { return state_.Get(id).tokens; }

  const PrefixCache& cache() const { return state_.cache; }
  int32_t n_running() const { return state_.n_running(); }
  int32_t n_waiting() const { return static_cast<int32_t>(state_.waiting.size()); }
  // Sequences preempted since the start.
  uint64_t n_preempted() const { return state_.n_preempted; }
  // Sequences that slot compaction moved since the start.
  uint64_t n_moved() const { return slot_compaction_.n_moved(); }

  // Throws std::logic_error when the books do not balance. Costs a pass over all sequences.
  void CheckIntegrity() const { state_.CheckIntegrity(); }

 private:
  void AddDecodes(StepPlan* plan) const;
  // In the batch or in the background.
  void AddPrompts(StepPlan* plan);
  // Drops cached prefixes until the plan's tokens fit the memory.
  void EvictFor(const StepPlan& plan);

  ScheduleState state_;
  SlotCompaction slot_compaction_;
  Drafting drafting_;
  // True while the memory may still have to make the copies of a plan that was not computed.
  bool copies_pending_ = false;
};
