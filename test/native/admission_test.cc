#include "schedule/admission.h"

#include <doctest.h>

#include <vector>

#include "scheduler_fixture.h"

TEST_CASE("no more sequences run than there are slots") {
  Scheduler scheduler(Limits(3, 1000));
  for (SequenceId id = 1; id <= 4; ++id) AddUnique(&scheduler, id, 5);
  RunStep(&scheduler);
  CHECK(scheduler.n_running() == 3);
  CHECK(scheduler.n_waiting() == 1);
  scheduler.Finish(2);
  CHECK(WorkOf(RunStep(&scheduler), 4)->samples);
  scheduler.Finish(77);
}

TEST_CASE("a sequence that does not fit waits, and no other overtakes it") {
  Scheduler scheduler(Limits(4, 100));
  AddUnique(&scheduler, 1, 60);
  AddUnique(&scheduler, 2, 50);
  AddUnique(&scheduler, 3, 5);
  CHECK(RunStep(&scheduler).work.size() == 1);
  CHECK(RunStep(&scheduler).work.size() == 1);
  scheduler.Finish(1);
  const StepPlan plan = RunStep(&scheduler);
  REQUIRE(plan.work.size() == 2);
  CHECK(plan.work[0].id == 2);
}

TEST_CASE("a sequence fits where the others have room to decode while it is prefilled") {
  ScheduleState state(Limits(4, 300));
  state.sequences[1] = {.tokens = Range(0, 100), .n_prompt = 100, .logprobs_begin = 100};
  state.waiting = {1};
  AdmitWaiting(&state);
  REQUIRE(state.running == std::vector<SequenceId>{1});
  const auto fits = [&](int32_t n_tokens) {
    return FitsBesideRunning(state, {.tokens = Range(1000, n_tokens), .n_prompt = n_tokens});
  };
  // Before the first step a prompt gets 8 tokens a step, so 150 take 19.
  CHECK(fits(150));
  CHECK(!fits(190));
}

TEST_CASE("a paused sequence is passed over, and admitted when its reader catches up") {
  ScheduleState state(Limits(1, 300));
  for (SequenceId id = 1; id <= 2; ++id) {
    state.sequences[id] = {.tokens = Range(1000 * static_cast<Token>(id), 10), .n_prompt = 10};
    state.waiting.push_back(id);
  }
  state.Get(1).is_paused = true;
  AdmitWaiting(&state);
  CHECK(state.running == std::vector<SequenceId>{2});
  CHECK(state.Get(2).is_new);
  state.Forget(2);
  state.cache.Clear(0);
  state.Get(1).is_paused = false;
  AdmitWaiting(&state);
  CHECK(state.running == std::vector<SequenceId>{1});
}
