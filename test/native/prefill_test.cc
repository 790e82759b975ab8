#include "schedule/prefill.h"

#include <doctest.h>

#include <algorithm>
#include <vector>

#include "scheduler_fixture.h"

TEST_CASE("prompts that wait together are prefilled together") {
  Scheduler scheduler(Limits(4, 1000));
  for (SequenceId id = 1; id <= 4; ++id) AddUnique(&scheduler, id, 20);
  const StepPlan plan = RunStep(&scheduler);
  CHECK(plan.work.size() == 4);
  CHECK(TotalTokens(plan) == 80);
  CHECK(std::all_of(plan.work.begin(), plan.work.end(), [](auto& work) { return work.samples; }));
}

TEST_CASE(
    "beside a running decode a long prompt gets more than the target leaves, and less than it "
    "misses") {
  SchedulerLimits limits = Limits(2, 1000);
  limits.step_target_ms = 40;
  Scheduler scheduler(limits);
  AddUnique(&scheduler, 1, 10);
  RunStep(&scheduler);
  for (int i = 0; i < 3; ++i) RunStep(&scheduler);
  AddUnique(&scheduler, 2, 100);
  int n_steps = 0;
  while (scheduler.n_waiting() > 0 || n_steps == 0 || n_steps < 3) {
    const StepPlan plan = RunStep(&scheduler);
    ++n_steps;
    REQUIRE(plan.work.size() == 2);
    CHECK(plan.work[0].id == 1);
    CHECK(plan.work[0].n_tokens == 1);
    // The geometric mean of 39 and 100.
    if (!plan.work[1].samples) CHECK(plan.work[1].n_tokens == 62);
  }
}

TEST_CASE("alone, a long prompt gets a ubatch a step") {
  Scheduler scheduler(Limits(2, 1000));
  AddUnique(&scheduler, 1, 150);
  CHECK(TotalTokens(RunStep(&scheduler)) == 64);
  CHECK(TotalTokens(RunStep(&scheduler)) == 64);
  CHECK(TotalTokens(RunStep(&scheduler)) == 22);
}

TEST_CASE("behind a prompt that takes a ubatch come prompts that can be finished") {
  Scheduler scheduler(Limits(4, 1000));
  AddUnique(&scheduler, 1, 100);
  AddUnique(&scheduler, 2, 30);
  AddUnique(&scheduler, 3, 300);
  AddUnique(&scheduler, 4, 120);
  const StepPlan plan = RunStep(&scheduler);
  CHECK(WorkOf(plan, 1)->n_tokens == 64);
  CHECK(WorkOf(plan, 2)->samples);
  CHECK(WorkOf(plan, 3) == nullptr);
  CHECK(WorkOf(plan, 4)->samples);
}

TEST_CASE("a prompt with log probabilities is computed whole, in pieces whose logits can be kept") {
  SchedulerLimits limits = Limits(4, 1000);
  limits.max_logprob_rows = 20;
  Scheduler scheduler(limits);
  scheduler.Add(1, Range(0, 50), "");
  RunStep(&scheduler);
  scheduler.Finish(1);
  scheduler.Add(2, Range(0, 50), "", /*wants_prompt_logprobs=*/true);
  std::vector<int32_t> pieces;
  for (int32_t n = 0; n < 50; n += pieces.back()) {
    const StepPlan plan = RunStep(&scheduler);
    REQUIRE(plan.work.size() == 1);
    CHECK(plan.work[0].first == n);
    CHECK(plan.work[0].with_logprobs);
    pieces.push_back(plan.work[0].n_tokens);
  }
  CHECK(pieces == std::vector<int32_t>{20, 20, 10});
  CHECK_FALSE(RunStep(&scheduler).work[0].with_logprobs);
}

TEST_CASE("prompts with log probabilities share the logits of a step, and others overtake them") {
  SchedulerLimits limits = Limits(4, 1000);
  limits.max_logprob_rows = 20;
  Scheduler scheduler(limits);
  scheduler.Add(1, Range(0, 50), "", /*wants_prompt_logprobs=*/true);
  scheduler.Add(2, Range(0, 50), "", /*wants_prompt_logprobs=*/true);
  scheduler.Add(3, Range(0, 50), "");
  const StepPlan plan = RunStep(&scheduler);
  CHECK(WorkOf(plan, 1)->n_tokens == 20);
  CHECK(WorkOf(plan, 2) == nullptr);
  CHECK(WorkOf(plan, 3)->n_tokens == 50);
}

TEST_CASE("a preempted sequence returns the log probabilities of the rest of its prompt") {
  SchedulerLimits limits = Limits(2, 1000);
  limits.max_logprob_rows = 20;
  Scheduler scheduler(limits);
  AddUnique(&scheduler, 1, 10);
  scheduler.Add(2, Range(0, 50), "", /*wants_prompt_logprobs=*/true);
  RunStep(&scheduler);
  const int32_t n_done = scheduler.cache().n_open_cells() - 10;
  REQUIRE(n_done > 0);
  REQUIRE(n_done < 50);
  REQUIRE(scheduler.MakeRoom(scheduler.Plan()));
  const StepPlan plan = RunStep(&scheduler);
  REQUIRE(WorkOf(plan, 2) != nullptr);
  CHECK(WorkOf(plan, 2)->with_logprobs);
  CHECK(WorkOf(plan, 2)->first <= n_done);
}
