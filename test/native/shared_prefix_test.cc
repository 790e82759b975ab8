#include "schedule/shared_prefix.h"

#include <doctest.h>

#include <algorithm>
#include <vector>

#include "scheduler_fixture.h"

TEST_CASE("prompts that arrive together compute their shared prefix once, and sample together") {
  Scheduler scheduler(Limits(16, 4000, 512, 128));
  for (SequenceId id = 1; id <= 16; ++id) {
    scheduler.Add(id, Joined(Range(0, 300), Range(static_cast<Token>(id) * 1000, 20)), "");
  }
  int32_t n_computed = 0;
  StepPlan plan;
  do {
    plan = RunStep(&scheduler);
    n_computed += TotalTokens(plan);
  } while (!plan.work[0].samples);
  CHECK(n_computed == 300 + 16 * 20);
  CHECK(plan.work.size() == 16);
  CHECK(std::all_of(plan.work.begin(), plan.work.end(), [](auto& work) { return work.samples; }));
  CHECK(scheduler.cache().n_used() == 300 + 16 * 20);
}

TEST_CASE("followers that share a slightly longer prefix do not wait for each other") {
  Scheduler scheduler(Limits(6, 4000, 512, 128));
  for (SequenceId id = 1; id <= 6; ++id) {
    const Token question = static_cast<Token>(id);
    const auto shared = Joined(Range(0, 300), Range(5000 + 100 * (question % 3), 4));
    scheduler.Add(id, Joined(shared, Range(1000 * question + 10'000, 8)), "");
  }
  StepPlan plan;
  for (int i = 0; i < 4; ++i) plan = RunStep(&scheduler);
  CHECK(plan.work.size() == 6);
  CHECK(std::all_of(plan.work.begin(), plan.work.end(), [](auto& work) { return work.samples; }));
}

TEST_CASE("equal prompts cost one prefill and a token each") {
  Scheduler scheduler(Limits(4, 1000));
  for (SequenceId id = 1; id <= 4; ++id) scheduler.Add(id, Range(0, 60), "");
  CHECK(TotalTokens(RunStep(&scheduler)) == 59);
  const StepPlan plan = RunStep(&scheduler);
  CHECK(TotalTokens(plan) == 4);
  CHECK(plan.work.size() == 4);
}

TEST_CASE("a follower of a cancelled sequence goes on from where that one stopped") {
  Scheduler scheduler(Limits(4, 1000));
  for (SequenceId id = 1; id <= 3; ++id) scheduler.Add(id, Range(0, 200), "");
  RunStep(&scheduler);
  scheduler.Finish(1);
  const StepPlan plan = RunStep(&scheduler);
  REQUIRE(plan.work.size() == 1);
  CHECK(plan.work[0].id == 2);
  CHECK(plan.work[0].first == 64);
}

TEST_CASE("no sequence waits for a paused one") {
  Scheduler scheduler(Limits(4, 1000));
  for (SequenceId id = 1; id <= 2; ++id) scheduler.Add(id, Range(0, 200), "");
  RunStep(&scheduler);
  scheduler.SetPaused(1, true);
  const StepPlan plan = RunStep(&scheduler);
  REQUIRE(plan.work.size() == 1);
  CHECK(plan.work[0].id == 2);
  CHECK(plan.work[0].first == 64);
}

TEST_CASE("in a memory that cannot be cut, sequences share the states at which they diverge") {
  SchedulerLimits limits = Limits(4, 1000);
  limits.cache.cuts = false;
  Scheduler scheduler(limits);
  scheduler.Add(1, Joined(Range(0, 100), Range(500, 60)), "");
  scheduler.Add(2, Joined(Range(0, 100), Range(700, 60)), "");
  int32_t n_computed = 0;
  for (int i = 0; i < 20 && scheduler.cache().n_prefixes() < 2; ++i) {
    n_computed += TotalTokens(RunStep(&scheduler));
  }
  CHECK(n_computed <= 100 + 2 * 60 + 2);

  // The next turn starts from the state kept shortly before the prompt's end.
  scheduler.Drop(1);
  scheduler.Add(3, Joined(Joined(Range(0, 100), Range(500, 58)), Range(900, 10)), "");
  CHECK(WorkOf(RunStep(&scheduler), 3)->first == 156);
}

TEST_CASE("the leader is an older sequence that computes clearly more than can be taken over") {
  ScheduleState state(Limits(4, 1000));
  state.sequences[1] = {.tokens = Range(0, 200), .n_prompt = 200, .logprobs_begin = 200};
  state.sequences[1].cache_id = state.cache.Open("", 200, {});
  state.running = {1};
  ScheduledSequence younger{.tokens = Joined(Range(0, 100), Range(5000, 50)), .n_prompt = 150};
  younger.logprobs_begin = 150;
  CHECK(FindLeader(state, younger, 1, 0).n_tokens == 100);
  CHECK(FindLeader(state, younger, 1, 68).n_tokens == 100);
  CHECK(FindLeader(state, younger, 1, 69).n_tokens == 0);
  CHECK(FindLeader(state, younger, 0, 0).n_tokens == 0);
  younger.scope = "other";
  CHECK(FindLeader(state, younger, 1, 0).n_tokens == 0);
  younger.scope = "";
  younger.logprobs_begin = 0;
  CHECK(FindLeader(state, younger, 1, 0).n_tokens == 0);
}
