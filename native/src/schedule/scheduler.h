// Which sequences run, and how many tokens of each the next step computes. Policy only: no tensor,
// no llama.cpp, no thread, no clock.
//
// A sequence is a row of known tokens, of which a prefix is in the cache. One that misses a single
// token is decoding; one that misses more is prefilling, whether its prompt is new or it lost its
// place to a neighbour. That is all the state there is.
#pragma once

#include <cstdint>
#include <deque>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "schedule/draft_pacer.h"
#include "schedule/gaps.h"
#include "schedule/prefix_cache.h"
#include "schedule/step_pacer.h"

using SequenceId = uint64_t;

// Passes over the model's weights that closing a gap may cost: it saves one in each step until
// somebody comes or goes.
inline constexpr int32_t kWorthPasses = 16;

struct SchedulerLimits {
  // Sequences that run at once, at least 1.
  int32_t n_slots = 1;
  // Tokens one step may compute, at least n_slots.
  int32_t n_batch = 2048;
  // Tokens the backend computes at once: what a prompt gets of a step in which nobody decodes.
  int32_t n_ubatch = 512;
  // By how much a prompt may delay those who decode in a step, in milliseconds; see StepPacer.
  double step_target_ms = 50;
  // Prompt tokens whose logits a step can keep, at least 1, beside one for each slot.
  int32_t n_scored_rows = 32;
  // Tokens that may be guessed in one step for all sequences together; 0: none ever are.
  int32_t n_drafted = 0;
  // Tokens of one guess.
  int32_t n_draft_min = 1;
  int32_t n_draft_max = 1;
  // Tokens the prompt lane has room for; 0: there is no lane. Sequences it may compute side by
  // side, at least 1.
  int32_t n_lane_tokens = 0;
  int32_t n_lane_sequences = 1;
  // Ids of a split cache lie together, or a step takes a pass over the model's weights for each run
  // of neighbours: this many may be moved to save one pass; 0: none are. Together they cost at most
  // kWorthPasses passes.
  int32_t n_worth_moves = 0;
  CacheLimits cache = {};
};

// One sequence's share of a step.
struct StepWork {
  SequenceId id = 0;
  CacheId cache_id = 0;
  // Index of its first token to compute, and how many follow from there.
  int32_t first = 0;
  int32_t n_tokens = 0;
  // Whether the last of them is the last known token, so that the next one can be sampled.
  bool samples = false;
  // Whether the logits of all of them are wanted, because the prompt is scored.
  bool scores = false;
  // Tokens guessed to follow the last known one, to be computed behind it and then checked.
  std::vector<Token> draft = {};

  // Known tokens, the last ones, whose logits are wanted; those of a guess come on top.
  int32_t n_outputs() const { return scores ? n_tokens : samples ? 1 : 0; }
};

// One sequence's share of the prompt lane.
struct LaneShare {
  SequenceId id = 0;
  CacheId cache_id = 0;
  // Index of its first token that is not in the cache, and how many are to be computed from there,
  // whether they take one step or many.
  int32_t first = 0;
  int32_t n_tokens = 0;
};

// What is computed apart from the batch: a long prompt, or the rests of several whose first tokens
// are the same, up to `first` of each; the first one has the most of those.
struct LaneWork {
  std::vector<LaneShare> shares;
  // For how long, and by how much that may be exceeded, in milliseconds.
  double ms = 0;
  double slack_ms = 0;
  // Of a slack: nobody is waiting.
  static constexpr double kNoLimit = std::numeric_limits<double>::infinity();
  // Whether it may last as long as the batch, if that takes longer: both compute prompts.
  bool as_batch = false;
};

struct StepPlan {
  // To be made before the work, in order; there may be some although nothing is to be computed.
  std::vector<CacheEdit> edits;
  // The batch.
  std::vector<StepWork> work;
  std::optional<LaneWork> lane;

  bool empty() const { return work.empty() && !lane; }
  bool only_decodes() const;
  int32_t n_drafted() const;
};

// A sequence whose next tokens are worth guessing.
struct DraftCall {
  SequenceId id = 0;
  // All its known tokens, and the scope that may share what is computed of them.
  std::span<const Token> tokens;
  const std::string* scope = nullptr;
  // Tokens to guess at most, at least 1.
  int32_t n_most = 1;
  // Whether it does not pay by what is known, so that it must not cost much.
  bool is_trial = false;
};

class Scheduler {
 public:
  explicit Scheduler(SchedulerLimits limits);

  // Queues a sequence that starts from `tokens` behind those that wait. Only sequences of equal
  // scope share what they computed. Requires an unused id and 1 to n_cells tokens. One that
  // `scores_prompt` computes all of its prompt itself, in pieces of n_scored_rows at most, since
  // what is cached has no logits; others may use what it computes.
  void Add(SequenceId id, std::vector<Token> tokens, std::string scope, bool scores_prompt = false);

  // Forgets a sequence that ended well; what it computed is kept for prompts to come.
  void Finish(SequenceId id);

  // Forgets a sequence and what it computed.
  void Drop(SequenceId id);

  // A held sequence computes nothing: its reader is too slow. It keeps its slot until others have
  // waited for it long enough.
  void SetHeld(SequenceId id, bool held);

  // The sequences worth guessing for before the next plan, if any: some that decode, while no
  // prompt is to be computed. What it returns is valid until the next call that changes anything.
  std::vector<DraftCall> DraftCalls();

  // `draft` is guessed to follow what is known of a sequence; empty when that was tried and took
  // time, but came to nothing. The next plan takes it along, or forgets it. Known and guessed
  // tokens together must fit the memory of one sequence.
  void Propose(SequenceId id, std::vector<Token> draft);

  // Asking a draft model came to `n_drafted` tokens and took so long.
  void MeasuredDrafting(int32_t n_drafted, double ms);

  // Decides the next step. Decoding sequences come first, one token each; then prompts, oldest
  // first, as many tokens as the time allows, a long one in the prompt lane, or side by side there
  // what several have behind a common beginning; then guesses, where neither prompts nor cells
  // stand in their way. A waiting sequence is taken in, in order, when there is a slot and room for
  // all its tokens; it starts from the longest prefix that is cached, and where an older one is
  // computing more of what both share, it waits for that. Finished prefixes give way to whatever
  // runs. Two things make a running sequence wait at the front of the queue again: no room for the
  // others' next tokens, and being held while somebody waits. Held sequences go first, then the
  // youngest.
  StepPlan Plan();

  // The step was computed: its tokens are in the cache, guessed ones as well.
  void Commit(const StepPlan& plan);

  // Of a share of the plan's lane work `n_tokens` were computed and are in the cache, at least one:
  // all of them, or others of the prompt where the plan has changed on the way.
  void CommitLane(const LaneShare& share, int32_t n_tokens);

  // The lane could not do a share of its work: the sequence is computed in batches. What it held of
  // the cache is lost if `emptied`.
  void LaneFailed(const LaneShare& share, bool emptied);

  // How long the batch took, from which the size of the next ones follows.
  void Measured(const StepPlan& plan, double ms);

  // Tokens were sampled after a commit, at least one. Those that were guessed are in the cache
  // already; what was guessed and not sampled is taken out of it. The last one was not guessed,
  // unless the sequence ends. Returns how many were guessed right.
  int32_t Append(SequenceId id, std::span<const Token> tokens);

  // For when the memory found no room although the plan saw some: stops guessing for a while, drops
  // a kept prefix, else pauses a sequence. False when a single one runs and nothing is kept, so
  // that nothing would be gained.
  bool MakeRoom(const StepPlan& plan);

  // An edit could not be made and the id was emptied instead. The plan must not be carried out;
  // from now on prefixes are used whole or not at all.
  void EditFailed(CacheId id);

  const PrefixCache& cache() const { return cache_; }
  int32_t n_running() const { return static_cast<int32_t>(running_.size()); }
  int32_t n_waiting() const { return static_cast<int32_t>(waiting_.size()); }
  // Sequences that had to give way, since the start.
  uint64_t n_paused() const { return n_paused_; }
  // Sequences that got another cache id to lie beside others, since the start.
  uint64_t n_moved() const { return n_moved_; }

  // Throws std::logic_error when the books do not balance. Costs a pass over all sequences.
  void CheckIntegrity() const;

 private:
  struct Sequence {
    std::vector<Token> tokens;
    std::string scope;
    int32_t n_prompt = 0;
    // Prompt tokens that are still to be computed for their logits begin here; n_prompt when there
    // are none.
    int32_t n_scored = 0;
    // Sampled tokens since it was added.
    int32_t n_sampled = 0;
    // -1 while it waits.
    CacheId cache_id = -1;
    bool held = false;
    // Plans made since it was held.
    int32_t n_held_plans = 0;
    // Tokens it will take from an older sequence that is computing them; 0 when it follows none.
    int32_t n_followed = 0;
    // Where a younger sequence that follows branches off; 0 when none does.
    int32_t branch = 0;
    // Whether it was taken in with this plan.
    bool is_new = false;
    // Whether the prompt lane has failed it.
    bool avoids_lane = false;
    DraftRecord drafts;

    int32_t n_tokens() const { return static_cast<int32_t>(tokens.size()); }
    bool is_scoring() const { return n_scored < n_prompt; }
  };

  int32_t n_cached(const Sequence& sequence) const;
  int32_t n_missing(const Sequence& sequence) const {
    return sequence.n_tokens() - n_cached(sequence);
  }
  bool IsPrefilling(const Sequence& sequence) const {
    return !sequence.held && n_missing(sequence) > 1;
  }
  bool IsDecoding(const Sequence& sequence) const {
    return !sequence.held && n_missing(sequence) == 1;
  }
  // Cells that running sequences hold or have been promised: all known tokens of each.
  int32_t n_promised() const;

  // The steps of Plan, in calling order.
  void SharePrefixes();
  void MakeRoomToDecode();
  void PauseHeld(int32_t n_plans);
  void Admit();
  void CloseGaps();
  void AddDecodes(StepPlan* plan);
  void AddLane(StepPlan* plan);
  void AddPrefills(StepPlan* plan);
  void AddDrafts(StepPlan* plan);
  void MakeRoomFor(const StepPlan& plan);

  // The newly taken in that hold nothing get their cache ids in order.
  void SortNew();
  // Of all cache ids. Whether `all_move`, or only the newly taken in that hold little.
  std::vector<IdUse> IdUses(bool all_move) const;
  // The longest cached prefix that a sequence can start from.
  PrefixMatch Find(const Sequence& sequence) const;
  // Whether a waiting sequence finds a slot, cells for all its tokens, and enough beside them for
  // what the others decode while it is prefilled.
  bool Fits(const Sequence& sequence) const;
  // Tokens that may be guessed beside `n_work` others without taking room from anybody.
  int32_t n_draft_room(int32_t n_work) const;
  // What a sequence would share with an older one that is still computing it, if that is worth
  // waiting for.
  struct Lead {
    SequenceId leader = 0;
    int32_t n_tokens = 0;
  };
  Lead LeadFor(const Sequence& sequence, size_t n_older, int32_t n_found) const;
  // Makes the sequence at this place of running_ follow an older one, if that is to compute more of
  // its prompt than the `n_found` tokens that can be had now.
  void Follow(size_t at, int32_t n_found);
  // How many tokens of a prefilling sequence to compute next, at most `n_most`.
  int32_t Stretch(const Sequence& sequence, int32_t n_most) const;
  // Keeps a copy of a prompt that is almost computed, where it could not be cut out later.
  void CheckpointIfDue(const Sequence& sequence);
  void AddWork(SequenceId id, int32_t n_tokens, StepPlan* plan) const;
  // Of the plan so far.
  int32_t n_decoding(const StepPlan& plan) const;
  bool MayUseLane(const Sequence& sequence) const;
  bool IsInLane(SequenceId id) const;
  // Whether it misses so much, more than `n_least`, that the lane is worth its price.
  bool WantsLane(const Sequence& sequence, int32_t n_least) const;
  // Whom the lane is to compute next, if anybody.
  std::vector<SequenceId> ChooseForLane(int32_t n_decodes) const;
  // Whether it misses little behind much that is cached: it is computed faster beside others of
  // which the same is cached.
  bool FansOut(const Sequence& sequence) const;
  // All that fan out from where one of them does, if they are worth it.
  std::vector<SequenceId> FanOf(const Sequence& sequence) const;
  // `beside_others`: the batch computes prompts as well.
  void TimeLane(int32_t n_decodes, bool beside_others, LaneWork* lane) const;
  // Whom to pause: the youngest held sequence, else the youngest.
  SequenceId Victim() const;
  void Pause(SequenceId id);
  // Forgets a sequence and returns the cache id it had, -1 for none.
  CacheId Forget(SequenceId id);

  const SchedulerLimits limits_;
  PrefixCache cache_;
  StepPacer pacer_;
  DraftPacer drafts_;
  // Copies of a plan that was not computed: the memory may still have to make them, and what they
  // are made from must not be moved before.
  bool copies_pending_ = false;
  // Plans since those that compute lie in more than one run.
  int32_t n_gap_plans_ = 0;
  uint64_t n_moved_ = 0;
  // For the next plan.
  std::map<SequenceId, std::vector<Token>> proposals_;
  // Plans to come without guesses.
  int32_t n_plain_plans_ = 0;
  std::map<SequenceId, Sequence> sequences_;
  // In order of admission: the last one is the youngest.
  std::vector<SequenceId> running_;
  // Whose prompts the lane computes.
  std::vector<SequenceId> in_lane_;
  std::deque<SequenceId> waiting_;
  uint64_t n_paused_ = 0;
};
