#include "schedule/schedule_state.h"

#include <algorithm>
#include <set>
#include <span>
#include <stdexcept>
#include <utility>

ScheduleState::ScheduleState(SchedulerLimits limits)
    : limits(std::move(limits)), cache(this->limits.cache), pacer(this->limits.step_target_ms) {}

int32_t ScheduleState::n_cached(const ScheduledSequence& sequence) const {
  return sequence.cache_id < 0 ? 0 : cache.n_cached(sequence.cache_id);
}

bool ScheduleState::IsInBackground(SequenceId id) const {
  return std::ranges::find(in_background, id) != in_background.end();
}

int32_t ScheduleState::n_promised() const {
  int32_t n = cache.n_open_cells();
  for (const SequenceId id : running) {
    const ScheduledSequence& sequence = Get(id);
    n += sequence.n_tokens() - std::max(n_cached(sequence), sequence.n_awaited);
  }
  return n;
}

StepWork ScheduleState::NextWork(SequenceId id, int32_t n_tokens) const {
  const ScheduledSequence& sequence = Get(id);
  return {.id = id,
          .cache_id = sequence.cache_id,
          .first = n_cached(sequence),
          .n_tokens = n_tokens,
          .samples = n_tokens == n_missing(sequence),
          .with_logprobs = sequence.wants_logprobs()};
}

int32_t ScheduleState::n_decoding(const StepPlan& plan) const {
  return static_cast<int32_t>(std::ranges::count_if(plan.work, [this](const StepWork& work) {
    return work.is_decode() && Get(work.id).n_sampled() > 0;
  }));
}

int32_t ScheduleState::n_missing_of_prompts() const {
  int32_t n = 0;
  for (const SequenceId id : running) {
    const ScheduledSequence& sequence = Get(id);
    if (IsPrefilling(sequence) && !IsInBackground(id)) n += n_missing(sequence);
  }
  return n;
}

void ScheduleState::BeginPlan() {
  for (const SequenceId id : running) {
    ScheduledSequence& sequence = Get(id);
    sequence.n_awaited = sequence.shared_end = 0;
    sequence.is_new = false;
    if (sequence.is_paused) ++sequence.n_paused_plans;
  }
}

void ScheduleState::Preempt(SequenceId id) {
  ScheduledSequence& sequence = Get(id);
  std::erase(running, id);
  std::erase(in_background, id);
  waiting.push_front(id);
  cache.Keep(sequence.cache_id, /*resumes=*/true);
  sequence.cache_id = -1;
  ++n_preempted;
}

CacheId ScheduleState::Forget(SequenceId id) {
  const auto found = sequences.find(id);
  if (found == sequences.end()) return -1;
  const CacheId cache_id = found->second.cache_id;
  if (cache_id >= 0) {
    std::erase(running, id);
  } else {
    std::erase(waiting, id);
  }
  std::erase(in_background, id);
  sequences.erase(found);
  return cache_id;
}

void ScheduleState::CheckIntegrity() const {
  const auto require = [](bool holds, const char* what) {
    if (!holds) throw std::logic_error(what);
  };
  require(running.size() + waiting.size() == sequences.size(), "a sequence is nowhere or twice");
  require(n_running() <= limits.n_slots, "more sequences run than there are slots");
  std::set<CacheId> taken;
  for (const SequenceId id : running) {
    const ScheduledSequence& sequence = Get(id);
    require(sequence.cache_id >= 0 && taken.insert(sequence.cache_id).second,
            "a cache id has two sequences or none");
    const int32_t n = n_cached(sequence);
    require(n <= sequence.n_tokens(), "more tokens are cached than known");
    require(cache.Holds(sequence.cache_id, std::span(sequence.tokens).first(n)),
            "the cache holds other tokens than its sequence");
  }
  require(cache.n_open() == n_running(), "a cache id leaked");
  for (const SequenceId id : in_background) {
    require(std::ranges::find(running, id) != running.end(),
            "the background prefill computes a sequence that does not run");
  }
  for (const SequenceId id : waiting) {
    require(Get(id).cache_id == -1, "a waiting sequence holds cells");
  }
  cache.CheckIntegrity();
}
