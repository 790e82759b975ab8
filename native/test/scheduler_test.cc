#include "scheduler.h"

#include <doctest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <random>
#include <set>
#include <stdexcept>
#include <string>

namespace {

int32_t TotalTokens(const StepPlan& plan) {
  int32_t n = 0;
  for (const StepWork& work : plan.work) n += work.n_tokens;
  return n;
}

// Runs one step as the engine does: every sequence that samples grows by a token.
StepPlan RunStep(Scheduler* scheduler) {
  StepPlan plan = scheduler->Plan();
  scheduler->Commit(plan);
  for (const StepWork& work : plan.work) {
    if (work.samples) scheduler->Append(work.id);
  }
  scheduler->CheckIntegrity();
  return plan;
}

// The number of random steps; the long run sets it higher.
int RandomSteps() {
  const char* steps = std::getenv("NATIVE_TEST_STEPS");
  return steps == nullptr ? 5000 : std::atoi(steps);
}

unsigned RandomSeed() {
  const char* seed = std::getenv("NATIVE_TEST_SEED");
  return seed == nullptr ? 1 : static_cast<unsigned>(std::atoi(seed));
}

}  // namespace

TEST_CASE("prompts that wait together are prefilled together") {
  Scheduler scheduler({.n_slots = 4, .n_kv_tokens = 1000, .n_batch = 256, .n_chunk = 64});
  for (SequenceId id = 1; id <= 4; ++id) scheduler.Add(id, 20);
  const StepPlan plan = RunStep(&scheduler);
  CHECK(plan.work.size() == 4);
  CHECK(TotalTokens(plan) == 80);
  CHECK(std::all_of(plan.work.begin(), plan.work.end(), [](auto& work) { return work.samples; }));
}

TEST_CASE("a long prompt is prefilled in chunks beside a running decode") {
  Scheduler scheduler({.n_slots = 2, .n_kv_tokens = 1000, .n_batch = 256, .n_chunk = 64});
  scheduler.Add(1, 10);
  RunStep(&scheduler);
  scheduler.Add(2, 150);
  for (const int32_t expected : {63, 63, 24}) {
    const StepPlan plan = RunStep(&scheduler);
    REQUIRE(plan.work.size() == 2);
    CHECK(plan.work[0].id == 1);
    CHECK(plan.work[0].n_tokens == 1);
    CHECK(plan.work[1].n_tokens == expected);
    CHECK(plan.work[1].samples == (expected == 24));
  }
}

TEST_CASE("alone, a prompt may fill the whole batch") {
  Scheduler scheduler({.n_slots = 2, .n_kv_tokens = 1000, .n_batch = 256, .n_chunk = 64});
  scheduler.Add(1, 300);
  CHECK(TotalTokens(RunStep(&scheduler)) == 256);
  CHECK(TotalTokens(RunStep(&scheduler)) == 44);
}

TEST_CASE("slots are given lowest first and come back") {
  Scheduler scheduler({.n_slots = 3, .n_kv_tokens = 1000, .n_batch = 256, .n_chunk = 64});
  for (SequenceId id = 1; id <= 4; ++id) scheduler.Add(id, 5);
  RunStep(&scheduler);
  CHECK(scheduler.n_running() == 3);
  CHECK(scheduler.n_waiting() == 1);
  CHECK(scheduler.Remove(2) == 1);
  const StepPlan plan = RunStep(&scheduler);
  CHECK(plan.work.back().id == 4);
  CHECK(plan.work.back().slot == 1);
  CHECK(scheduler.Remove(77) == -1);
}

TEST_CASE("a sequence that finds no room waits, and nobody overtakes it") {
  Scheduler scheduler({.n_slots = 4, .n_kv_tokens = 100, .n_batch = 256, .n_chunk = 64});
  scheduler.Add(1, 60);
  scheduler.Add(2, 50);
  scheduler.Add(3, 5);
  CHECK(RunStep(&scheduler).work.size() == 1);
  CHECK(RunStep(&scheduler).work.size() == 1);
  scheduler.Remove(1);
  const StepPlan plan = RunStep(&scheduler);
  REQUIRE(plan.work.size() == 2);
  CHECK(plan.work[0].id == 2);
}

TEST_CASE(
    "when decoding fills the cache the youngest gives way, and starts over with all its tokens") {
  Scheduler scheduler({.n_slots = 2, .n_kv_tokens = 40, .n_batch = 256, .n_chunk = 64});
  scheduler.Add(1, 15);
  scheduler.Add(2, 15);
  int32_t n_tokens_of_second = 15;
  StepPlan plan;
  do {
    plan = RunStep(&scheduler);
    for (const StepWork& work : plan.work) n_tokens_of_second += work.id == 2 && work.samples;
  } while (plan.evictions.empty());
  REQUIRE(plan.evictions.size() == 1);
  CHECK(plan.evictions[0].id == 2);
  CHECK(scheduler.n_evicted() == 1);
  scheduler.Remove(1);
  plan = RunStep(&scheduler);
  REQUIRE(plan.work.size() == 1);
  CHECK(plan.work[0].first == 0);
  CHECK(plan.work[0].n_tokens == n_tokens_of_second);
}

TEST_CASE("a held sequence keeps its slot and computes nothing") {
  Scheduler scheduler({.n_slots = 2, .n_kv_tokens = 100, .n_batch = 256, .n_chunk = 64});
  scheduler.Add(1, 5);
  scheduler.Add(2, 5);
  RunStep(&scheduler);
  scheduler.SetHeld(1, true);
  StepPlan plan = RunStep(&scheduler);
  REQUIRE(plan.work.size() == 1);
  CHECK(plan.work[0].id == 2);
  CHECK(scheduler.n_running() == 2);
  scheduler.SetHeld(1, false);
  CHECK(RunStep(&scheduler).work.size() == 2);
}

TEST_CASE("held sequences do not keep others out for ever") {
  Scheduler scheduler({.n_slots = 2, .n_kv_tokens = 100, .n_batch = 256, .n_chunk = 64});
  for (SequenceId id = 1; id <= 3; ++id) scheduler.Add(id, 5);
  RunStep(&scheduler);
  scheduler.SetHeld(1, true);
  int n_steps = 0;
  StepPlan plan;
  do {
    plan = RunStep(&scheduler);
    REQUIRE(++n_steps < 100);
  } while (plan.evictions.empty());
  CHECK(plan.evictions[0].id == 1);
  CHECK(plan.work.back().id == 3);

  scheduler.SetHeld(2, true);
  scheduler.SetHeld(3, true);
  scheduler.SetHeld(1, false);
  plan = RunStep(&scheduler);
  REQUIRE(plan.evictions.size() == 1);
  CHECK(plan.evictions[0].id == 3);
  CHECK(plan.work.back().id == 1);
}

TEST_CASE("what can never run is refused") {
  Scheduler scheduler({.n_slots = 2, .n_kv_tokens = 100, .n_batch = 256, .n_chunk = 64});
  CHECK_THROWS_AS(scheduler.Add(1, 101), std::logic_error);
  CHECK_THROWS_AS(scheduler.Add(1, 0), std::logic_error);
  scheduler.Add(1, 100);
  CHECK_THROWS_AS(scheduler.Add(1, 5), std::logic_error);
}

TEST_CASE("random traffic keeps the books balanced and starves nobody") {
  const unsigned seed = RandomSeed();
  CAPTURE(seed);
  std::mt19937 random(seed);
  const SchedulerLimits limits{.n_slots = 6, .n_kv_tokens = 300, .n_batch = 128, .n_chunk = 32};
  Scheduler scheduler(limits);
  struct Known {
    int32_t n_tokens;
    int32_t n_limit;
    int32_t n_cached = 0;
    int steps_alive = 0;
  };
  std::map<SequenceId, Known> known;
  std::set<SequenceId> held;
  SequenceId next_id = 1;
  const auto pick = [&] { return std::next(known.begin(), random() % known.size()); };

  for (int step = 0; step < RandomSteps(); ++step) {
    if (known.size() < 12 && random() % 3 == 0) {
      const int32_t n_tokens = 1 + static_cast<int32_t>(random() % 200);
      scheduler.Add(next_id, n_tokens);
      known[next_id++] = {n_tokens,
                          std::min(300, n_tokens + 1 + static_cast<int32_t>(random() % 80))};
    }
    if (!known.empty() && random() % 40 == 0) {
      const auto cancelled = pick();
      scheduler.Remove(cancelled->first);
      known.erase(cancelled);
    }
    if (!known.empty() && random() % 10 == 0) {
      const SequenceId id = pick()->first;
      held.insert(id);
      scheduler.SetHeld(id, true);
    }
    if (!held.empty() && random() % 20 == 0) {
      scheduler.SetHeld(*held.begin(), false);
      held.erase(held.begin());
    }

    const StepPlan plan = scheduler.Plan();
    for (const Eviction& eviction : plan.evictions) known.at(eviction.id).n_cached = 0;
    REQUIRE(TotalTokens(plan) <= limits.n_batch);
    for (const StepWork& work : plan.work) {
      Known& sequence = known.at(work.id);
      REQUIRE(!held.contains(work.id));
      REQUIRE(work.n_tokens > 0);
      REQUIRE(work.first == sequence.n_cached);
      REQUIRE(work.samples == (work.first + work.n_tokens == sequence.n_tokens));
      sequence.n_cached += work.n_tokens;
    }
    scheduler.Commit(plan);
    for (const StepWork& work : plan.work) {
      if (!work.samples) continue;
      Known& sequence = known.at(work.id);
      scheduler.Append(work.id);
      if (++sequence.n_tokens >= sequence.n_limit) {
        scheduler.Remove(work.id);
        known.erase(work.id);
      }
    }
    scheduler.CheckIntegrity();
    for (auto& [id, sequence] : known) {
      if (!held.contains(id)) REQUIRE(++sequence.steps_alive < 5000);
    }
  }
}
