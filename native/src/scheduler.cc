#include "scheduler.h"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace {

// How long a sequence that is held may keep its slot while others wait for one: long enough for a
// reader that only stutters, since coming back costs the whole prefill.
constexpr int32_t kPatiencePlans = 64;

}  // namespace

Scheduler::Scheduler(SchedulerLimits limits) : limits_(limits), slots_(limits.n_slots, false) {}

void Scheduler::Add(SequenceId id, int32_t n_tokens) {
  if (n_tokens < 1 || n_tokens > limits_.n_kv_tokens) {
    throw std::logic_error("a sequence of " + std::to_string(n_tokens) + " tokens can never run");
  }
  if (!sequences_.emplace(id, Sequence{.n_tokens = n_tokens}).second) {
    throw std::logic_error("sequence " + std::to_string(id) + " exists already");
  }
  waiting_.push_back(id);
}

int32_t Scheduler::Remove(SequenceId id) {
  const auto found = sequences_.find(id);
  if (found == sequences_.end()) return -1;
  const int32_t slot = found->second.slot;
  if (slot >= 0) {
    slots_[slot] = false;
    std::erase(running_, id);
  } else {
    std::erase(waiting_, id);
  }
  sequences_.erase(found);
  return slot;
}

void Scheduler::SetHeld(SequenceId id, bool held) {
  const auto found = sequences_.find(id);
  if (found == sequences_.end()) return;
  found->second.held = held;
  found->second.n_held_plans = 0;
}

StepPlan Scheduler::Plan() {
  StepPlan plan;
  MakeRoomToDecode(&plan);
  EvictHeld(kPatiencePlans, &plan);

  for (const SequenceId id : running_) {
    Sequence& sequence = sequences_.at(id);
    if (sequence.held) {
      ++sequence.n_held_plans;
    } else if (sequence.n_missing() == 1) {
      plan.work.push_back(Share(id, sequence, 1));
    }
  }
  const auto n_decoding = static_cast<int32_t>(plan.work.size());
  int32_t budget = limits_.n_batch - n_decoding;
  if (n_decoding > 0) budget = std::min(budget, std::max(1, limits_.n_chunk - n_decoding));

  for (const SequenceId id : running_) {
    const Sequence& sequence = sequences_.at(id);
    if (sequence.held || sequence.n_missing() <= 1 || budget <= 0) continue;
    plan.work.push_back(Share(id, sequence, std::min(sequence.n_missing(), budget)));
    budget -= plan.work.back().n_tokens;
  }
  Admit(budget, &plan);
  if (plan.empty()) {
    // Nobody computes, so no further plan would come to take from the held ones.
    EvictHeld(0, &plan);
    Admit(budget, &plan);
  }
  return plan;
}

void Scheduler::MakeRoomToDecode(StepPlan* plan) {
  while (running_.size() > 1 && n_promised() > limits_.n_kv_tokens) {
    plan->evictions.push_back(Evict(Victim()));
  }
}

void Scheduler::EvictHeld(int32_t n_plans, StepPlan* plan) {
  const auto waiter = std::find_if(waiting_.begin(), waiting_.end(),
                                   [this](SequenceId id) { return !sequences_.at(id).held; });
  if (waiter == waiting_.end()) return;
  const Sequence& waiting = sequences_.at(*waiter);
  while (!running_.empty() && !Fits(waiting)) {
    const SequenceId id = Victim();
    const Sequence& victim = sequences_.at(id);
    if (!victim.held || victim.n_held_plans < n_plans) return;
    plan->evictions.push_back(Evict(id));
  }
}

bool Scheduler::Fits(const Sequence& sequence) const {
  if (n_running() >= limits_.n_slots) return false;
  const int32_t n_steps = (sequence.n_missing() + limits_.n_chunk - 1) / limits_.n_chunk;
  const int32_t headroom = running_.empty() ? 0 : n_running() * n_steps + 1;
  return n_promised() + sequence.n_tokens + headroom <= limits_.n_kv_tokens;
}

// Waiting sequences keep their order: one that finds no room holds back those behind it, or a large
// prompt would wait for ever. Only one whose reader is slow is passed over.
void Scheduler::Admit(int32_t budget, StepPlan* plan) {
  for (auto at = waiting_.begin(); at != waiting_.end() && budget > 0;) {
    const SequenceId id = *at;
    Sequence& sequence = sequences_.at(id);
    if (sequence.held) {
      ++at;
      continue;
    }
    if (!Fits(sequence)) return;
    at = waiting_.erase(at);
    running_.push_back(id);
    sequence.slot = TakeLowestSlot();
    plan->work.push_back(Share(id, sequence, std::min(sequence.n_missing(), budget)));
    budget -= plan->work.back().n_tokens;
  }
}

void Scheduler::Commit(const StepPlan& plan) {
  for (const StepWork& work : plan.work) sequences_.at(work.id).n_cached += work.n_tokens;
}

void Scheduler::Append(SequenceId id) { ++sequences_.at(id).n_tokens; }

bool Scheduler::EvictOne(Eviction* eviction) {
  if (running_.size() <= 1) return false;
  *eviction = Evict(Victim());
  return true;
}

SequenceId Scheduler::Victim() const {
  const auto held = std::find_if(running_.rbegin(), running_.rend(),
                                 [this](SequenceId id) { return sequences_.at(id).held; });
  return held == running_.rend() ? running_.back() : *held;
}

Eviction Scheduler::Evict(SequenceId id) {
  Sequence& sequence = sequences_.at(id);
  const Eviction eviction{id, sequence.slot};
  std::erase(running_, id);
  waiting_.push_front(id);
  slots_[sequence.slot] = false;
  sequence.slot = -1;
  sequence.n_cached = 0;
  ++n_evicted_;
  return eviction;
}

// Low slots first: a split KV cache computes neighbouring slots together, and a gap splits the
// batch.
int32_t Scheduler::TakeLowestSlot() {
  const auto free_slot = std::find(slots_.begin(), slots_.end(), false);
  *free_slot = true;
  return static_cast<int32_t>(free_slot - slots_.begin());
}

StepWork Scheduler::Share(SequenceId id, const Sequence& sequence, int32_t n_tokens) {
  return {.id = id,
          .slot = sequence.slot,
          .first = sequence.n_cached,
          .n_tokens = n_tokens,
          .samples = n_tokens == sequence.n_missing()};
}

int32_t Scheduler::n_promised() const {
  int32_t n = 0;
  for (const SequenceId id : running_) n += sequences_.at(id).n_tokens;
  return n;
}

int32_t Scheduler::n_used() const {
  int32_t n = 0;
  for (const SequenceId id : running_) n += sequences_.at(id).n_cached;
  return n;
}

void Scheduler::CheckIntegrity() const {
  const auto require = [](bool holds, const char* what) {
    if (!holds) throw std::logic_error(what);
  };
  require(running_.size() + waiting_.size() == sequences_.size(), "a sequence is nowhere or twice");
  std::vector<bool> taken(slots_.size(), false);
  for (const SequenceId id : running_) {
    const Sequence& sequence = sequences_.at(id);
    require(sequence.slot >= 0 && !taken[sequence.slot], "a slot has two sequences or none");
    require(sequence.n_cached <= sequence.n_tokens, "more tokens are cached than known");
    taken[sequence.slot] = true;
  }
  require(taken == slots_, "a slot leaked");
  for (const SequenceId id : waiting_) {
    const Sequence& sequence = sequences_.at(id);
    require(sequence.slot == -1 && sequence.n_cached == 0, "a waiting sequence holds cells");
  }
  require(n_used() <= limits_.n_kv_tokens, "more cells are used than there are");
}
