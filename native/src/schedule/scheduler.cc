#include "schedule/scheduler.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <stdexcept>
#include <utility>

namespace {

// How long a sequence that is held may keep its slot while others wait for one: long enough for a
// reader that only stutters, since coming back may cost the whole prefill.
constexpr int32_t kPatiencePlans = 64;
// Tokens of a common prefix from which it is worth a step to wait for whoever computes it. Less is
// what any two prompts of one chat template share.
constexpr int32_t kWorthFollowing = 32;
// A prompt's copy for the next turn ends this many tokens before the prompt does: the opening of
// the assistant's message may be rendered differently once there is an answer in it.
constexpr int32_t kCheckpointTail = 4;
// A shorter prompt is computed again as fast as its state is copied.
constexpr int32_t kLeastCheckpoint = 16;
// Steps of a prefill for which a newcomer leaves the others room to decode. Who needs more is
// paused.
constexpr int32_t kMostStepsAhead = 64;
// Steps for which a gap between those that compute is left to whoever comes next, at least.
constexpr int32_t kGapPatience = 4;
// What a sequence may hold to be moved as soon as it comes.
constexpr int32_t kFewTokens = 512;
// Plans without guesses after the memory had no room for some.
constexpr int32_t kPlainPlans = 64;
// How much longer than it is a step of several sequences may become by guesses, where that is more
// than the target: each pays for the guesses of all.
constexpr double kLongestStep = 1.5;

// Tokens that a prompt must miss for the prompt lane to be worth its price, and their least share
// of those that are cached: all of them are moved.
constexpr int32_t kLeastInLane = 128;
constexpr int32_t kLeastPartInLane = 16;
// The rests of prompts that are computed side by side in the lane. On a CPU attention takes several
// times as long for each token where a piece of a sequence has fewer than 64 (GGML_FA_TILE_Q), and
// the more so the more it looks back at: from so many cached tokens on that is more than moving
// them takes, for a rest of so many.
constexpr int32_t kLeastFanned = 64;
constexpr int32_t kLeastRest = 8;
constexpr int32_t kMostRest = 64;
constexpr int32_t kLeastTrunk = 256;
// The part of what prompts get by which the lane may exceed its time.
constexpr double kLaneSlack = 1.0 / 3;

// Whether it is the next token of a sequence that decodes.
bool IsDecode(const StepWork& work) { return work.n_tokens == 1 && work.samples; }

bool IsCopy(const CacheEdit& edit) { return edit.kind == CacheEdit::Kind::kCopy; }

}  // namespace

bool StepPlan::only_decodes() const { return !lane && std::ranges::all_of(work, IsDecode); }

int32_t StepPlan::n_drafted() const {
  int32_t n = 0;
  for (const StepWork& each : work) n += static_cast<int32_t>(each.draft.size());
  return n;
}

Scheduler::Scheduler(SchedulerLimits limits)
    : limits_(std::move(limits)),
      cache_(limits_.cache),
      pacer_(limits_.step_target_ms),
      drafts_(limits_.n_draft_min, limits_.n_draft_max) {}

void Scheduler::Add(SequenceId id, std::vector<Token> tokens, std::string scope,
                    bool scores_prompt) {
  const auto n_tokens = static_cast<int32_t>(tokens.size());
  if (n_tokens < 1 || n_tokens > limits_.cache.n_cells) {
    throw std::logic_error("a sequence of " + std::to_string(n_tokens) + " tokens can never run");
  }
  Sequence sequence;
  sequence.tokens = std::move(tokens);
  sequence.scope = std::move(scope);
  sequence.n_prompt = n_tokens;
  sequence.n_scored = scores_prompt ? 0 : n_tokens;
  sequence.drafts = drafts_.NewRecord();
  if (!sequences_.emplace(id, std::move(sequence)).second) {
    throw std::logic_error("sequence " + std::to_string(id) + " exists already");
  }
  waiting_.push_back(id);
}

void Scheduler::Finish(SequenceId id) {
  const CacheId cache_id = Forget(id);
  if (cache_id >= 0) cache_.Keep(cache_id);
}

void Scheduler::Drop(SequenceId id) {
  const CacheId cache_id = Forget(id);
  if (cache_id >= 0) cache_.Clear(cache_id);
}

CacheId Scheduler::Forget(SequenceId id) {
  const auto found = sequences_.find(id);
  if (found == sequences_.end()) return -1;
  const CacheId cache_id = found->second.cache_id;
  if (cache_id >= 0) {
    std::erase(running_, id);
  } else {
    std::erase(waiting_, id);
  }
  std::erase(in_lane_, id);
  sequences_.erase(found);
  return cache_id;
}

void Scheduler::SetHeld(SequenceId id, bool held) {
  const auto found = sequences_.find(id);
  if (found == sequences_.end()) return;
  found->second.held = held;
  found->second.n_held_plans = 0;
}

std::vector<DraftCall> Scheduler::DraftCalls() {
  std::vector<DraftCall> calls;
  if (limits_.n_drafted == 0 || !cache_.limits().cuts) return calls;
  if (n_plain_plans_ > 0) {
    --n_plain_plans_;
    return calls;
  }
  int32_t n_decoding = 0;
  for (const SequenceId id : running_) {
    const Sequence& sequence = sequences_.at(id);
    if (IsPrefilling(sequence)) return calls;
    if (IsDecoding(sequence)) ++n_decoding;
  }
  const double plain_ms = pacer_.DecodeMs(n_decoding);
  int32_t n_room = n_draft_room(n_decoding);
  if (n_decoding > 1 && drafts_.token_ms() > 0) {
    const double most_ms = std::max(limits_.step_target_ms, kLongestStep * plain_ms);
    const double n_in_time = (most_ms - plain_ms) / drafts_.token_ms();
    n_room = static_cast<int32_t>(std::min(n_in_time, static_cast<double>(n_room)));
  }
  int32_t n_left = n_decoding;
  for (const SequenceId id : running_) {
    Sequence& sequence = sequences_.at(id);
    if (!IsDecoding(sequence)) continue;
    const int32_t n_share = (n_room + n_left - 1) / n_left;
    --n_left;
    if (n_share < limits_.n_draft_min) continue;
    const int32_t n = std::min(n_share, drafts_.Length(&sequence.drafts, n_decoding, plain_ms));
    if (n == 0) continue;
    calls.push_back({id, sequence.tokens, &sequence.scope, n, sequence.drafts.on_trial()});
    n_room -= n;
  }
  return calls;
}

int32_t Scheduler::n_draft_room(int32_t n_work) const {
  // Within one ubatch, so that a sliding window that is cut afterwards has lost nothing it needs.
  int32_t n = std::min(limits_.n_drafted, std::min(limits_.n_batch, limits_.n_ubatch) - n_work);
  // In a split cache every sequence has its own room.
  if (cache_.limits().shares_cells) n = std::min(n, limits_.cache.n_cells - n_promised());
  return std::max(0, n);
}

void Scheduler::Propose(SequenceId id, std::vector<Token> draft) {
  if (draft.empty()) {
    drafts_.ObserveNothing(&sequences_.at(id).drafts);
  } else {
    proposals_[id] = std::move(draft);
  }
}

void Scheduler::MeasuredDrafting(int32_t n_drafted, double ms) {
  drafts_.ObserveDrafting(n_drafted, ms);
}

StepPlan Scheduler::Plan() {
  StepPlan plan;
  SharePrefixes();
  MakeRoomToDecode();
  PauseHeld(kPatiencePlans);
  Admit();
  CloseGaps();
  AddDecodes(&plan);
  AddLane(&plan);
  AddPrefills(&plan);
  if (plan.empty()) {
    // Nobody computes, so no further plan would come to take from the held ones.
    PauseHeld(0);
    Admit();
    AddDecodes(&plan);
    AddPrefills(&plan);
  }
  AddDrafts(&plan);
  MakeRoomFor(plan);
  plan.edits = cache_.TakeEdits();
  if (std::ranges::any_of(plan.edits, IsCopy)) copies_pending_ = true;
  return plan;
}

// Prefilling sequences take over what others, older or finished, have computed since the last step.
void Scheduler::SharePrefixes() {
  for (const SequenceId id : running_) {
    Sequence& sequence = sequences_.at(id);
    sequence.n_followed = sequence.branch = 0;
    sequence.is_new = false;
    if (sequence.held) ++sequence.n_held_plans;
  }
  if (!cache_.limits().copies) return;
  for (size_t at = 0; at < running_.size(); ++at) {
    const Sequence& sequence = sequences_.at(running_[at]);
    if (!IsPrefilling(sequence) || IsInLane(running_[at])) continue;
    const PrefixMatch match = Find(sequence);
    Follow(at, match.n_tokens);
    if (sequence.n_followed > 0) continue;
    const int32_t n_gained = match.n_tokens - n_cached(sequence);
    if (n_gained >= std::max(kWorthFollowing, cache_.limits().n_min_copy)) {
      cache_.Adopt(sequence.cache_id, match);
    }
  }
}

void Scheduler::Follow(size_t at, int32_t n_found) {
  Sequence& sequence = sequences_.at(running_[at]);
  const Lead lead = LeadFor(sequence, at, n_found);
  if (lead.n_tokens == 0) return;
  sequence.n_followed = lead.n_tokens;
  Sequence& leader = sequences_.at(lead.leader);
  if (lead.n_tokens == leader.n_tokens()) return;
  const bool nearest = !cache_.limits().cuts && leader.branch > 0;
  leader.branch =
      nearest ? std::min(leader.branch, lead.n_tokens) : std::max(leader.branch, lead.n_tokens);
}

Scheduler::Lead Scheduler::LeadFor(const Sequence& sequence, size_t n_older,
                                   int32_t n_found) const {
  Lead lead;
  if (!cache_.limits().copies || sequence.is_scoring()) return lead;
  const int32_t n_worth = std::max(kWorthFollowing, cache_.limits().n_min_copy);
  for (size_t i = 0; i < n_older; ++i) {
    const Sequence& older = sequences_.at(running_[i]);
    if (!IsPrefilling(older) || older.scope != sequence.scope) continue;
    // In small pieces it may take longer than to compute it again.
    if (older.is_scoring()) continue;
    const int32_t n =
        std::min(CommonPrefix(sequence.tokens, older.tokens), sequence.n_tokens() - 1);
    // A little more from one that follows itself would cost another wait.
    const int32_t n_known = std::max({n_cached(sequence), n_found, lead.n_tokens});
    if (n >= n_known + n_worth && n > n_cached(older)) lead = {running_[i], n};
  }
  return lead;
}

void Scheduler::MakeRoomToDecode() {
  if (!cache_.limits().shares_cells) return;
  while (running_.size() > 1 && n_promised() > limits_.cache.n_cells) Pause(Victim());
}

void Scheduler::PauseHeld(int32_t n_plans) {
  const auto waiter = std::find_if(waiting_.begin(), waiting_.end(),
                                   [this](SequenceId id) { return !sequences_.at(id).held; });
  if (waiter == waiting_.end()) return;
  const Sequence& waiting = sequences_.at(*waiter);
  while (!running_.empty() && !Fits(waiting)) {
    const SequenceId id = Victim();
    const Sequence& victim = sequences_.at(id);
    if (!victim.held || victim.n_held_plans < n_plans) return;
    Pause(id);
  }
}

// Waiting sequences keep their order: one that finds no room holds back those behind it, or a large
// prompt would wait for ever. Only one whose reader is slow is passed over.
void Scheduler::Admit() {
  for (auto at = waiting_.begin(); at != waiting_.end();) {
    const SequenceId id = *at;
    Sequence& sequence = sequences_.at(id);
    if (sequence.held) {
      ++at;
      continue;
    }
    if (!Fits(sequence)) return;
    at = waiting_.erase(at);
    running_.push_back(id);
    const PrefixMatch match = Find(sequence);
    sequence.cache_id = cache_.Open(sequence.scope, sequence.n_prompt, match);
    sequence.n_followed = sequence.branch = 0;
    sequence.is_new = true;
    Follow(running_.size() - 1, n_cached(sequence));
  }
}

// Those that come and hold little are moved at once. Of the others one is, when nobody has come to
// fill the gap that a finished one has left for as many steps as the move costs passes: then it
// never costs more than twice of what the best choice would have.
void Scheduler::CloseGaps() {
  if (limits_.n_worth_moves == 0 || copies_pending_) return;
  SortNew();
  const bool comes =
      std::ranges::any_of(running_, [this](SequenceId id) { return sequences_.at(id).is_new; });
  if (comes) n_gap_plans_ = 0;
  const bool all_move =
      n_gap_plans_ >= std::max(kGapPatience, kWorthPasses / limits_.n_worth_moves);
  std::vector<IdUse> uses = IdUses(all_move);
  n_gap_plans_ = CountRuns(uses) > 1 ? n_gap_plans_ + 1 : 0;
  while (const auto move = NextGapMove(uses, limits_.n_worth_moves)) {
    const auto found = std::ranges::find_if(
        running_, [&](SequenceId id) { return sequences_.at(id).cache_id == move->from; });
    Sequence& sequence = sequences_.at(*found);
    cache_.Rename(move->from, move->to);
    sequence.cache_id = move->to;
    ++n_moved_;
    if (all_move) {
      n_gap_plans_ = 0;
      return;
    }
    uses = IdUses(all_move);
  }
}

// They are computed in the order in which they came, a few at a time.
void Scheduler::SortNew() {
  std::vector<SequenceId> empty;
  std::ranges::copy_if(running_, std::back_inserter(empty), [this](SequenceId id) {
    return sequences_.at(id).is_new && n_cached(sequences_.at(id)) == 0;
  });
  for (size_t i = 0; i < empty.size(); ++i) {
    Sequence& sequence = sequences_.at(empty[i]);
    for (size_t j = i + 1; j < empty.size(); ++j) {
      Sequence& later = sequences_.at(empty[j]);
      if (later.cache_id > sequence.cache_id) continue;
      cache_.Swap(sequence.cache_id, later.cache_id);
      std::swap(sequence.cache_id, later.cache_id);
    }
  }
}

std::vector<IdUse> Scheduler::IdUses(bool all_move) const {
  std::vector<IdUse> uses(cache_.limits().n_ids);
  for (CacheId id = 0; id < cache_.limits().n_ids; ++id) {
    if (cache_.state(id) != PrefixCache::State::kKept) continue;
    uses[id] = cache_.MayMove(id) ? IdUse::kKept : IdUse::kWaits;
  }
  for (const SequenceId id : running_) {
    const Sequence& sequence = sequences_.at(id);
    const bool waits = sequence.held || IsInLane(id) || sequence.n_followed > 0;
    const bool is_light = sequence.is_new && n_cached(sequence) <= kFewTokens;
    const bool moves = (all_move || is_light) && cache_.MayMove(sequence.cache_id);
    uses[sequence.cache_id] = waits ? IdUse::kWaits : moves ? IdUse::kMoves : IdUse::kStays;
  }
  return uses;
}

// What a scoring sequence has not seen the logits of it cannot take over.
PrefixMatch Scheduler::Find(const Sequence& sequence) const {
  const PrefixMatch match = cache_.Find(sequence.tokens, sequence.scope);
  return sequence.is_scoring() && match.n_tokens > sequence.n_scored ? PrefixMatch{} : match;
}

bool Scheduler::Fits(const Sequence& sequence) const {
  if (n_running() >= limits_.n_slots) return false;
  // In a split cache every slot has room for a whole sequence.
  if (running_.empty() || !cache_.limits().shares_cells) return true;
  const PrefixMatch match = Find(sequence);
  const int32_t n_shared = std::max(cache_.n_open_cells(match),
                                    LeadFor(sequence, running_.size(), match.n_tokens).n_tokens);
  const int32_t n_new = sequence.n_tokens() - n_shared;
  const int32_t chunk = std::min(limits_.n_ubatch, pacer_.Chunk(n_running()));
  const int32_t n_steps = std::min(kMostStepsAhead, (n_new + chunk - 1) / chunk);
  return n_promised() + n_new + n_running() * n_steps + 1 <= limits_.cache.n_cells;
}

void Scheduler::AddDecodes(StepPlan* plan) {
  for (const SequenceId id : running_) {
    const Sequence& sequence = sequences_.at(id);
    if (IsDecoding(sequence)) AddWork(id, 1, plan);
  }
}

// A sequence that has sampled must not wait for the prompts of others.
int32_t Scheduler::n_decoding(const StepPlan& plan) const {
  return static_cast<int32_t>(
      std::count_if(plan.work.begin(), plan.work.end(),
                    [this](const StepWork& work) { return sequences_.at(work.id).n_sampled > 0; }));
}

bool Scheduler::MayUseLane(const Sequence& sequence) const {
  return cache_.limits().cuts && IsPrefilling(sequence) && !sequence.is_scoring() &&
         sequence.n_followed == 0 && !sequence.avoids_lane &&
         sequence.n_tokens() <= limits_.n_lane_tokens;
}

bool Scheduler::IsInLane(SequenceId id) const {
  return std::ranges::find(in_lane_, id) != in_lane_.end();
}

bool Scheduler::WantsLane(const Sequence& sequence, int32_t n_least) const {
  const int32_t n_worth = std::max(n_least, n_cached(sequence) / kLeastPartInLane);
  return MayUseLane(sequence) && n_missing(sequence) > n_worth;
}

bool Scheduler::FansOut(const Sequence& sequence) const {
  const int32_t n_rest = n_missing(sequence) - 1;
  return MayUseLane(sequence) && n_cached(sequence) >= kLeastTrunk && n_rest >= kLeastRest &&
         n_rest <= kMostRest;
}

// The one of which most is cached comes first: what is cached of the others is a part of that.
std::vector<SequenceId> Scheduler::FanOf(const Sequence& sequence) const {
  if (limits_.n_lane_sequences < 2 || !FansOut(sequence)) return {};
  const auto held = [this](SequenceId id) { return cache_.held(sequences_.at(id).cache_id); };
  const auto is_within = [](std::span<const Token> part, std::span<const Token> whole) {
    return CommonPrefix(part, whole) == static_cast<int32_t>(part.size());
  };
  std::vector<SequenceId> candidates;
  std::ranges::copy_if(running_, std::back_inserter(candidates), [&](SequenceId id) {
    const Sequence& other = sequences_.at(id);
    return FansOut(other) && other.scope == sequence.scope;
  });
  const auto own = cache_.held(sequence.cache_id);
  const auto trunk = std::ranges::max_element(candidates, {}, [&](SequenceId id) {
    return is_within(own, held(id)) ? held(id).size() : 0;
  });
  std::rotate(candidates.begin(), trunk, trunk + 1);

  const auto longest = held(candidates[0]);
  std::vector<SequenceId> fan;
  int32_t n_fanned = 0;
  for (const SequenceId id : candidates) {
    const int32_t n_rest = n_missing(sequences_.at(id)) - 1;
    const int32_t n_all = static_cast<int32_t>(longest.size()) + n_fanned + n_rest;
    const bool is_full = static_cast<int32_t>(fan.size()) == limits_.n_lane_sequences;
    if (is_full || n_all > limits_.n_lane_tokens || !is_within(held(id), longest)) continue;
    fan.push_back(id);
    n_fanned += n_rest;
  }
  if (fan.size() < 2 || n_fanned < kLeastFanned) fan.clear();
  return fan;
}

std::vector<SequenceId> Scheduler::ChooseForLane(int32_t n_decodes) const {
  const int32_t n_least = n_decodes > 0 ? kLeastInLane : limits_.n_ubatch;
  for (const SequenceId id : running_) {
    const Sequence& sequence = sequences_.at(id);
    if (WantsLane(sequence, n_least)) return {id};
    std::vector<SequenceId> fan = FanOf(sequence);
    if (!fan.empty()) return fan;
  }
  return {};
}

// While somebody decodes, the oldest long prompt is computed apart: all but its last token, which
// is sampled from. While nobody does, so is one of several steps, or whoever comes next would wait
// for one of them. Where younger ones branch off it is given to the cache, for them to go on from,
// and then all of their rests together are computed there.
void Scheduler::AddLane(StepPlan* plan) {
  if (limits_.n_lane_tokens == 0) return;
  std::erase_if(in_lane_, [this](SequenceId id) { return !MayUseLane(sequences_.at(id)); });
  if (in_lane_.empty()) in_lane_ = ChooseForLane(n_decoding(*plan));
  if (in_lane_.empty()) return;
  plan->lane.emplace();
  for (const SequenceId id : in_lane_) {
    const Sequence& sequence = sequences_.at(id);
    const int32_t n_done = n_cached(sequence);
    const int32_t n_most = sequence.n_tokens() - 1;
    const int32_t end = sequence.branch > n_done ? std::min(sequence.branch, n_most) : n_most;
    plan->lane->shares.push_back({id, sequence.cache_id, n_done, end - n_done});
  }
  // The first may have left before anything was done.
  auto& shares = plan->lane->shares;
  std::iter_swap(shares.begin(), std::ranges::max_element(shares, {}, &LaneShare::first));
}

// While somebody decodes, prompts get what the time allows, and half of it beside the lane. Else
// the oldest ones share a ubatch, and those behind that can be finished come along up to a whole
// batch: prompts that arrive together then sample together, and none waits for the decoding of the
// others.
void Scheduler::AddPrefills(StepPlan* plan) {
  const int32_t n_decodes = n_decoding(*plan);
  const auto n_work = static_cast<int32_t>(plan->work.size());
  int32_t n_spare = limits_.n_batch - n_work;
  int32_t n_chunk = std::min(n_spare, std::max(1, limits_.n_ubatch - n_work));
  const double share = plan->lane ? 0.5 : 1;
  if (plan->lane) n_spare = n_chunk;
  if (n_decodes > 0) n_spare = n_chunk = std::min(n_chunk, pacer_.Chunk(n_decodes, share));
  int32_t n_rows = limits_.n_scored_rows;

  for (const SequenceId id : running_) {
    const Sequence& sequence = sequences_.at(id);
    if (!IsPrefilling(sequence) || sequence.n_followed > 0 || n_spare <= 0) continue;
    if (IsInLane(id)) continue;
    // It has the lane next.
    if (plan->lane && n_decodes == 0 && WantsLane(sequence, limits_.n_ubatch)) continue;
    const bool fits = n_missing(sequence) <= std::min(n_spare, limits_.n_ubatch);
    int32_t n_most = n_chunk <= 0 || fits ? n_spare : n_chunk;
    if (sequence.is_scoring()) n_most = std::min(n_most, n_rows);
    if (n_most <= 0) continue;
    const int32_t n = Stretch(sequence, n_most);
    if (n_chunk <= 0 && n < n_missing(sequence)) continue;
    CheckpointIfDue(sequence);
    AddWork(id, n, plan);
    n_chunk -= n;
    n_spare -= n;
    if (sequence.is_scoring()) n_rows -= n;
  }
  if (plan->lane) {
    const bool beside_others = plan->work.size() > static_cast<size_t>(n_work);
    TimeLane(n_decodes, beside_others, &*plan->lane);
  }
}

// Guesses never take time from a prompt or a cell from a sequence.
void Scheduler::AddDrafts(StepPlan* plan) {
  auto proposals = std::exchange(proposals_, {});
  if (!plan->only_decodes()) return;
  int32_t n_room = n_draft_room(static_cast<int32_t>(plan->work.size()));
  for (StepWork& work : plan->work) {
    const auto found = proposals.find(work.id);
    if (found == proposals.end()) continue;
    work.draft = std::move(found->second);
    work.draft.resize(std::min(work.draft.size(), static_cast<size_t>(n_room)));
    n_room -= static_cast<int32_t>(work.draft.size());
  }
}

// Prompts in the batch and the one in the lane each have half of the time; while nobody decodes,
// that of the batch is not bounded.
void Scheduler::TimeLane(int32_t n_decodes, bool beside_others, LaneWork* lane) const {
  lane->ms = pacer_.PromptMs(n_decodes) / (beside_others ? 2 : 1);
  lane->as_batch = beside_others && n_decodes == 0;
  lane->slack_ms = beside_others || n_decodes > 0
                       ? kLaneSlack * std::max(lane->ms, pacer_.DecodeMs(n_decodes))
                       : LaneWork::kNoLimit;
}

int32_t Scheduler::Stretch(const Sequence& sequence, int32_t n_most) const {
  const int32_t n_done = n_cached(sequence);
  const bool cuts = cache_.limits().cuts;
  int32_t n = std::min(n_missing(sequence), n_most);
  // A leader waits where its followers branch off, so that all go on from there together. Where
  // nothing can be cut that is also the only moment at which they can.
  const bool ends = n == n_missing(sequence);
  if (sequence.branch > n_done && (ends || !cuts)) n = std::min(n, sequence.branch - n_done);
  const int32_t checkpoint = sequence.n_prompt - kCheckpointTail;
  if (!cuts && checkpoint >= kLeastCheckpoint && checkpoint > n_done) {
    n = std::min(n, checkpoint - n_done);
  }
  return n;
}

void Scheduler::CheckpointIfDue(const Sequence& sequence) {
  const int32_t checkpoint = sequence.n_prompt - kCheckpointTail;
  if (cache_.limits().cuts || checkpoint < kLeastCheckpoint) return;
  if (n_cached(sequence) == checkpoint) cache_.Checkpoint(sequence.cache_id);
}

void Scheduler::AddWork(SequenceId id, int32_t n_tokens, StepPlan* plan) const {
  const Sequence& sequence = sequences_.at(id);
  plan->work.push_back({.id = id,
                        .cache_id = sequence.cache_id,
                        .first = n_cached(sequence),
                        .n_tokens = n_tokens,
                        .samples = n_tokens == n_missing(sequence),
                        .scores = sequence.is_scoring()});
}

void Scheduler::MakeRoomFor(const StepPlan& plan) {
  int32_t n_tokens = plan.n_drafted();
  for (const StepWork& work : plan.work) n_tokens += work.n_tokens;
  while (cache_.n_used() + n_tokens > limits_.cache.n_cells && cache_.EvictOne()) {
  }
}

void Scheduler::Commit(const StepPlan& plan) {
  if (!plan.work.empty()) copies_pending_ = false;
  for (const StepWork& work : plan.work) {
    Sequence& sequence = sequences_.at(work.id);
    const std::span<const Token> tokens(sequence.tokens);
    sequence.n_scored =
        std::clamp(work.first + work.n_tokens, sequence.n_scored, sequence.n_prompt);
    cache_.Extend(work.cache_id, tokens.subspan(work.first, work.n_tokens));
    cache_.Extend(work.cache_id, work.draft);
  }
}

void Scheduler::CommitLane(const LaneShare& share, int32_t n_tokens) {
  const Sequence& sequence = sequences_.at(share.id);
  cache_.Extend(share.cache_id, std::span(sequence.tokens).subspan(share.first, n_tokens));
  std::erase(in_lane_, share.id);
}

void Scheduler::LaneFailed(const LaneShare& share, bool emptied) {
  sequences_.at(share.id).avoids_lane = true;
  if (emptied) cache_.Lost(share.cache_id);
  std::erase(in_lane_, share.id);
}

void Scheduler::Measured(const StepPlan& plan, double ms) {
  int32_t n_decoding = 0;
  int32_t n_prefill = 0;
  for (const StepWork& work : plan.work) {
    (IsDecode(work) ? n_decoding : n_prefill) += work.n_tokens;
  }
  const int32_t n_drafted = plan.n_drafted();
  if (n_drafted > 0) {
    drafts_.ObserveStep(n_drafted, ms, pacer_.DecodeMs(n_decoding));
  } else {
    pacer_.Observe(n_decoding, n_prefill, ms);
  }
}

int32_t Scheduler::Append(SequenceId id, std::span<const Token> tokens) {
  Sequence& sequence = sequences_.at(id);
  const std::span<const Token> draft = cache_.held(sequence.cache_id).subspan(sequence.n_tokens());
  const auto n_drafted = static_cast<int32_t>(draft.size());
  const int32_t n_right = CommonPrefix(draft, tokens);
  if (n_drafted > 0) drafts_.ObserveOutcome(n_drafted, n_right, &sequence.drafts);
  cache_.Cut(sequence.cache_id, sequence.n_tokens() + n_right);
  sequence.tokens.insert(sequence.tokens.end(), tokens.begin(), tokens.end());
  sequence.n_sampled += static_cast<int32_t>(tokens.size());
  return n_right;
}

bool Scheduler::MakeRoom(const StepPlan& plan) {
  if (plan.n_drafted() > 0) {
    n_plain_plans_ = kPlainPlans;
    return true;
  }
  if (cache_.EvictOne()) return true;
  if (running_.size() <= 1) return false;
  Pause(Victim());
  cache_.EvictOne();
  return true;
}

void Scheduler::EditFailed(CacheId id) {
  cache_.Lost(id);
  cache_.ForbidCuts();
}

SequenceId Scheduler::Victim() const {
  const auto held = std::find_if(running_.rbegin(), running_.rend(),
                                 [this](SequenceId id) { return sequences_.at(id).held; });
  return held == running_.rend() ? running_.back() : *held;
}

// What a paused sequence computed is kept like any finished prefix: it may still be there when the
// sequence comes back.
void Scheduler::Pause(SequenceId id) {
  Sequence& sequence = sequences_.at(id);
  std::erase(running_, id);
  std::erase(in_lane_, id);
  waiting_.push_front(id);
  cache_.Keep(sequence.cache_id, /*resumes=*/true);
  sequence.cache_id = -1;
  ++n_paused_;
}

int32_t Scheduler::n_cached(const Sequence& sequence) const {
  return sequence.cache_id < 0 ? 0 : cache_.n_held(sequence.cache_id);
}

int32_t Scheduler::n_promised() const {
  int32_t n = cache_.n_open_cells();
  for (const SequenceId id : running_) {
    const Sequence& sequence = sequences_.at(id);
    n += sequence.n_tokens() - std::max(n_cached(sequence), sequence.n_followed);
  }
  return n;
}

void Scheduler::CheckIntegrity() const {
  const auto require = [](bool holds, const char* what) {
    if (!holds) throw std::logic_error(what);
  };
  require(running_.size() + waiting_.size() == sequences_.size(), "a sequence is nowhere or twice");
  require(n_running() <= limits_.n_slots, "more sequences run than there are slots");
  std::set<CacheId> taken;
  for (const SequenceId id : running_) {
    const Sequence& sequence = sequences_.at(id);
    require(sequence.cache_id >= 0 && taken.insert(sequence.cache_id).second,
            "a cache id has two sequences or none");
    const int32_t n = n_cached(sequence);
    require(n <= sequence.n_tokens(), "more tokens are cached than known");
    require(cache_.Holds(sequence.cache_id, std::span(sequence.tokens).first(n)),
            "the cache holds other tokens than its sequence");
  }
  require(cache_.n_open() == n_running(), "a cache id leaked");
  for (const SequenceId id : in_lane_) {
    require(std::ranges::find(running_, id) != running_.end(),
            "the prompt lane works for a sequence that does not run");
  }
  for (const SequenceId id : waiting_) {
    require(sequences_.at(id).cache_id == -1, "a waiting sequence holds cells");
  }
  cache_.CheckIntegrity();
}
