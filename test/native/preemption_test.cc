#include "schedule/preemption.h"

#include <doctest.h>

#include <vector>

#include "schedule/admission.h"
#include "scheduler_fixture.h"

TEST_CASE(
    "when decoding fills the cache the youngest is preempted, and comes back with all its tokens") {
  Scheduler scheduler(Limits(2, 40));
  AddUnique(&scheduler, 1, 15);
  AddUnique(&scheduler, 2, 15);
  RunUntilPreempted(&scheduler);
  CHECK(scheduler.n_running() == 1);
  for (int i = 0; i < 5; ++i) CHECK(WorkOf(RunStep(&scheduler), 2) == nullptr);
  scheduler.Drop(1);
  const StepPlan plan = RunStep(&scheduler);
  REQUIRE(plan.work.size() == 1);
  CHECK(plan.work[0].id == 2);
  CHECK(plan.work[0].first + plan.work[0].n_tokens == 21);
}

TEST_CASE("cached prefixes give way before a sequence is preempted") {
  Scheduler scheduler(Limits(2, 100));
  AddUnique(&scheduler, 1, 60);
  RunStep(&scheduler);
  scheduler.Finish(1);
  CHECK(scheduler.cache().n_prefixes() == 1);
  AddUnique(&scheduler, 2, 30);
  AddUnique(&scheduler, 3, 30);
  for (int i = 0; i < 15; ++i) RunStep(&scheduler);
  CHECK(scheduler.n_preempted() == 0);
  CHECK(scheduler.cache().n_prefixes() == 0);
}

TEST_CASE("a paused sequence keeps its slot and computes nothing") {
  Scheduler scheduler(Limits(2, 100));
  AddUnique(&scheduler, 1, 5);
  AddUnique(&scheduler, 2, 5);
  RunStep(&scheduler);
  scheduler.SetPaused(1, true);
  StepPlan plan = RunStep(&scheduler);
  REQUIRE(plan.work.size() == 1);
  CHECK(plan.work[0].id == 2);
  CHECK(scheduler.n_running() == 2);
  scheduler.SetPaused(1, false);
  CHECK(RunStep(&scheduler).work.size() == 2);
}

TEST_CASE("paused sequences do not keep others out for ever") {
  Scheduler scheduler(Limits(2, 300));
  for (SequenceId id = 1; id <= 3; ++id) AddUnique(&scheduler, id, 5);
  RunStep(&scheduler);
  scheduler.SetPaused(1, true);
  RunUntilPreempted(&scheduler);
  StepPlan plan = RunStep(&scheduler);
  CHECK(WorkOf(plan, 1) == nullptr);
  CHECK(WorkOf(plan, 3) != nullptr);

  scheduler.SetPaused(2, true);
  scheduler.SetPaused(3, true);
  scheduler.SetPaused(1, false);
  plan = RunStep(&scheduler);
  CHECK(scheduler.n_preempted() == 2);
  REQUIRE(plan.work.size() == 1);
  CHECK(plan.work[0].id == 1);
  // Its cells were not needed meanwhile.
  CHECK(plan.work[0].first > 0);
  CHECK(plan.work[0].n_tokens == 1);
}

TEST_CASE("the youngest paused sequence is preempted first, else the youngest") {
  ScheduleState state(Limits(4, 300));
  for (SequenceId id = 1; id <= 4; ++id) {
    state.sequences[id] = {.tokens = Range(1000 * static_cast<Token>(id), 10), .n_prompt = 10};
    state.waiting.push_back(id);
  }
  AdmitWaiting(&state);
  REQUIRE(state.n_running() == 4);
  CHECK(ChooseVictim(state) == 4);
  state.Get(1).is_paused = state.Get(3).is_paused = true;
  CHECK(ChooseVictim(state) == 3);
  state.Preempt(3);
  CHECK(state.waiting.front() == 3);
  CHECK(state.n_preempted == 1);
  CHECK(ChooseVictim(state) == 1);
}
