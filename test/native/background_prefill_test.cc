#include "schedule/background_prefill.h"

#include <doctest.h>

#include <cmath>
#include <vector>

#include "scheduler_fixture.h"

namespace {

SchedulerLimits BackgroundLimits() {
  SchedulerLimits limits = Limits(4, 4 * 1000, 512, 256);
  limits.step_target_ms = 40;
  limits.max_background_tokens = 900;
  limits.cache.n_ids = 4;
  limits.cache.shares_cells = false;
  return limits;
}

}  // namespace

TEST_CASE(
    "beside a running decode a long prompt runs in the background, and its last token in the "
    "batch") {
  Scheduler scheduler(BackgroundLimits());
  AddUnique(&scheduler, 1, 10);
  RunStep(&scheduler);
  AddUnique(&scheduler, 2, 500);
  for (int i = 0; i < 3; ++i) {
    const StepPlan plan = RunStep(&scheduler);
    REQUIRE(plan.background);
    CHECK(BackgroundOf(plan).id == 2);
    CHECK(BackgroundOf(plan).first == 0);
    CHECK(BackgroundOf(plan).n_tokens == 499);
    CHECK(plan.background->ms <= 40);
    CHECK(plan.background->slack_ms > 0);
    CHECK(WorkOf(plan, 1) != nullptr);
    CHECK(WorkOf(plan, 2) == nullptr);
    if (i == 2) scheduler.CommitBackground(BackgroundOf(plan), 499);
  }
  const StepPlan plan = RunStep(&scheduler);
  CHECK(!plan.background);
  REQUIRE(WorkOf(plan, 2) != nullptr);
  CHECK(WorkOf(plan, 2)->first == 499);
  CHECK(WorkOf(plan, 2)->samples);
}

TEST_CASE("the background prefill is for long prompts that fit it") {
  Scheduler scheduler(BackgroundLimits());
  AddUnique(&scheduler, 1, 10);
  RunStep(&scheduler);
  AddUnique(&scheduler, 2, 128);
  CHECK(!RunStep(&scheduler).background);
  AddUnique(&scheduler, 3, 901);
  CHECK(!RunStep(&scheduler).background);
  scheduler.Add(4, Range(400'000, 500), "", /*wants_prompt_logprobs=*/true);
  CHECK(!RunStep(&scheduler).background);
}

TEST_CASE(
    "while no sequence decodes, a prompt of several steps runs in the background, and who comes "
    "goes first") {
  Scheduler scheduler(BackgroundLimits());
  AddUnique(&scheduler, 1, 256);
  CHECK(!RunStep(&scheduler).background);
  scheduler.Finish(1);
  AddUnique(&scheduler, 2, 600);
  StepPlan plan = RunStep(&scheduler);
  REQUIRE(plan.background);
  CHECK(BackgroundOf(plan).id == 2);
  CHECK(plan.background->slack_ms == BackgroundWork::kNoLimit);
  CHECK(plan.work.empty());
  // The one is as long, the other is computed at once.
  AddUnique(&scheduler, 3, 600);
  AddUnique(&scheduler, 4, 256);
  plan = RunStep(&scheduler);
  CHECK(BackgroundOf(plan).id == 2);
  CHECK(WorkOf(plan, 3) == nullptr);
  REQUIRE(WorkOf(plan, 4) != nullptr);
  CHECK(WorkOf(plan, 4)->samples);
  plan = RunStep(&scheduler);
  CHECK(plan.background->slack_ms < 40);
}

TEST_CASE("a prompt that misses too little of its cached prefix stays in the batch") {
  SchedulerLimits limits = BackgroundLimits();
  limits.n_ubatch = 16;
  Scheduler scheduler(limits);
  scheduler.Add(1, Range(0, 600), "");
  StepPlan plan = RunStep(&scheduler);
  scheduler.CommitBackground(BackgroundOf(plan), 599);
  RunStep(&scheduler);
  scheduler.Finish(1);
  AddUnique(&scheduler, 2, 500);
  CHECK(BackgroundOf(RunStep(&scheduler)).id == 2);
  scheduler.Add(3, Joined(Range(0, 600), Range(900'000, 30)), "");
  plan = RunStep(&scheduler);
  CHECK(BackgroundOf(plan).id == 2);
  REQUIRE(WorkOf(plan, 3) != nullptr);
  CHECK(WorkOf(plan, 3)->first == 600);
}

TEST_CASE("a prompt beside the background prefill gets half the time of prompts") {
  Scheduler scheduler(BackgroundLimits());
  AddUnique(&scheduler, 1, 10);
  RunStep(&scheduler);
  AddUnique(&scheduler, 2, 500);
  RunStep(&scheduler);
  const double whole_ms = RunStep(&scheduler).background->ms;
  AddUnique(&scheduler, 3, 500);
  const StepPlan plan = RunStep(&scheduler);
  REQUIRE(WorkOf(plan, 3) != nullptr);
  // Of what a prompt of 500 ms gets beside the decode.
  CHECK(WorkOf(plan, 3)->n_tokens == static_cast<int32_t>(std::sqrt(whole_ms * 500) / 2));
  CHECK(BackgroundOf(plan).id == 2);
  CHECK(plan.background->ms == doctest::Approx(whole_ms / 2));
}

TEST_CASE("a prompt goes on in the background when no sequence decodes any more") {
  Scheduler scheduler(BackgroundLimits());
  AddUnique(&scheduler, 1, 10);
  RunStep(&scheduler);
  AddUnique(&scheduler, 2, 500);
  RunStep(&scheduler);
  scheduler.Finish(1);
  const StepPlan plan = RunStep(&scheduler);
  CHECK(!plan.empty());
  CHECK(plan.work.empty());
  REQUIRE(plan.background);
  CHECK(plan.background->ms == doctest::Approx(40));
}

TEST_CASE("a prompt leaves the background where a younger one diverges") {
  Scheduler scheduler(BackgroundLimits());
  AddUnique(&scheduler, 1, 10);
  RunStep(&scheduler);
  scheduler.Add(2, Range(0, 500), "");
  CHECK(BackgroundOf(RunStep(&scheduler)).n_tokens == 499);
  scheduler.Add(3, Joined(Range(0, 300), Range(900'000, 20)), "");
  StepPlan plan = RunStep(&scheduler);
  CHECK(BackgroundOf(plan).n_tokens == 300);
  CHECK(WorkOf(plan, 3) == nullptr);
  // By then it had already got further.
  scheduler.CommitBackground(BackgroundOf(plan), 350);
  plan = RunStep(&scheduler);
  REQUIRE(WorkOf(plan, 3) != nullptr);
  CHECK(WorkOf(plan, 3)->first == 300);
  CHECK(BackgroundOf(plan).id == 2);
  CHECK(BackgroundOf(plan).first == 350);
}

TEST_CASE(
    "a sequence that ends frees the background prefill, and one that it failed does not return") {
  Scheduler scheduler(BackgroundLimits());
  AddUnique(&scheduler, 1, 10);
  RunStep(&scheduler);
  AddUnique(&scheduler, 2, 500);
  AddUnique(&scheduler, 3, 500);
  CHECK(BackgroundOf(RunStep(&scheduler)).id == 2);
  scheduler.SetPaused(2, true);
  CHECK(BackgroundOf(RunStep(&scheduler)).id == 3);
  scheduler.SetPaused(2, false);
  scheduler.Finish(3);
  StepPlan plan = RunStep(&scheduler);
  CHECK(BackgroundOf(plan).id == 2);
  scheduler.BackgroundFailed(BackgroundOf(plan), /*emptied=*/true);
  plan = RunStep(&scheduler);
  CHECK(!plan.background);
  REQUIRE(WorkOf(plan, 2) != nullptr);
  CHECK(WorkOf(plan, 2)->first == 0);
}

namespace {

SchedulerLimits SuffixLimits() {
  SchedulerLimits limits = BackgroundLimits();
  limits.n_slots = limits.cache.n_ids = 8;
  limits.cache.n_cells = 8 * 1000;
  limits.max_background_sequences = 8;
  return limits;
}

// A prompt that shares the first `n_shared` tokens with others of its kind.
void AddSharing(Scheduler* scheduler, SequenceId id, int32_t n_shared, int32_t n_own) {
  const auto own = Range(static_cast<Token>(id) * 100'000, n_own);
  scheduler->Add(id, Joined(Range(0, n_shared), own), "");
}

// Everything is computed in the background as planned.
void CommitAll(Scheduler* scheduler, const StepPlan& plan) {
  for (const BackgroundShare& share : plan.background->shares)
    scheduler->CommitBackground(share, share.n_tokens);
  scheduler->CheckIntegrity();
}

std::vector<SequenceId> InBackground(const StepPlan& plan) {
  std::vector<SequenceId> ids;
  if (plan.background) {
    for (const BackgroundShare& share : plan.background->shares) ids.push_back(share.id);
  }
  return ids;
}

}  // namespace

TEST_CASE("the suffixes behind a shared prefix are computed side by side in the background") {
  Scheduler scheduler(SuffixLimits());
  for (SequenceId id = 1; id <= 5; ++id) AddSharing(&scheduler, id, 400, 20);
  StepPlan plan = RunStep(&scheduler);
  CHECK(BackgroundOf(plan).id == 1);
  CHECK(BackgroundOf(plan).n_tokens == 400);
  CommitAll(&scheduler, plan);
  plan = RunStep(&scheduler);
  REQUIRE(plan.background);
  CHECK(plan.work.empty());
  CHECK(InBackground(plan) == std::vector<SequenceId>{1, 2, 3, 4, 5});
  for (const BackgroundShare& share : plan.background->shares) {
    CHECK(share.first == 400);
    CHECK(share.n_tokens == 19);
  }
  CommitAll(&scheduler, plan);
  plan = RunStep(&scheduler);
  CHECK(!plan.background);
  CHECK(plan.work.size() == 5);
  CHECK(TotalTokens(plan) == 5);
}

TEST_CASE("a sequence that ends leaves the background prefill to the others") {
  Scheduler scheduler(SuffixLimits());
  for (SequenceId id = 1; id <= 5; ++id) AddSharing(&scheduler, id, 400, 30);
  CommitAll(&scheduler, RunStep(&scheduler));
  RunStep(&scheduler);
  scheduler.Drop(1);
  scheduler.SetPaused(3, true);
  AddSharing(&scheduler, 6, 400, 30);
  StepPlan plan = RunStep(&scheduler);
  CHECK(InBackground(plan) == std::vector<SequenceId>{2, 4, 5});
  // Who comes later is computed in the batch.
  CHECK(WorkOf(plan, 6) != nullptr);
  scheduler.BackgroundFailed(plan.background->shares[0], /*emptied=*/false);
  scheduler.CommitBackground(plan.background->shares[1], plan.background->shares[1].n_tokens);
  plan = RunStep(&scheduler);
  CHECK(InBackground(plan) == std::vector<SequenceId>{5});
  CHECK(WorkOf(plan, 2) != nullptr);
  CHECK(WorkOf(plan, 4)->samples);
}

TEST_CASE("the sequence with the longest cached prefix comes first") {
  Scheduler scheduler(SuffixLimits());
  AddSharing(&scheduler, 1, 400, 20);
  CommitAll(&scheduler, RunStep(&scheduler));
  RunStep(&scheduler);
  scheduler.Finish(1);
  // What they share with what was kept differs.
  AddSharing(&scheduler, 2, 300, 40);
  AddSharing(&scheduler, 3, 380, 40);
  AddSharing(&scheduler, 4, 350, 40);
  const StepPlan plan = RunStep(&scheduler);
  CHECK(InBackground(plan) == std::vector<SequenceId>{3, 2, 4});
  REQUIRE(plan.background);
  CHECK(plan.background->shares[0].first == 380);
  CHECK(plan.background->shares[1].first == 300);
  CHECK(plan.background->shares[2].first == 350);
}

TEST_CASE("suffixes that are not worth it are computed in the batch") {
  struct Case {
    int32_t n_shared, n_own, n_chats, max_background_sequences;
  };
  // Behind little, of few tokens, of many, of few in all, and where there is no room for several.
  for (const Case& each : {Case{200, 20, 5, 8}, Case{400, 8, 5, 8}, Case{400, 80, 5, 8},
                           Case{400, 20, 3, 8}, Case{400, 20, 5, 1}}) {
    SchedulerLimits limits = SuffixLimits();
    limits.max_background_sequences = each.max_background_sequences;
    Scheduler scheduler(limits);
    AddSharing(&scheduler, 100, each.n_shared, 1);
    for (int i = 0; i < 3; ++i) {
      const StepPlan plan = RunStep(&scheduler);
      if (plan.background) CommitAll(&scheduler, plan);
    }
    scheduler.Finish(100);
    for (int32_t i = 1; i <= each.n_chats; ++i) {
      AddSharing(&scheduler, i, each.n_shared, each.n_own);
    }
    const StepPlan plan = RunStep(&scheduler);
    CHECK(!plan.background);
    CHECK(!plan.work.empty());
  }
}

TEST_CASE("the background prefill takes no more than it has room for") {
  SchedulerLimits limits = SuffixLimits();
  limits.max_background_tokens = 520;
  Scheduler scheduler(limits);
  for (SequenceId id = 1; id <= 5; ++id) AddSharing(&scheduler, id, 400, 41);
  CommitAll(&scheduler, RunStep(&scheduler));
  StepPlan plan = RunStep(&scheduler);
  CHECK(InBackground(plan) == std::vector<SequenceId>{1, 2, 3});
  limits.max_background_tokens = 900;
  limits.max_background_sequences = 4;
  Scheduler narrow(limits);
  for (SequenceId id = 1; id <= 5; ++id) AddSharing(&narrow, id, 400, 41);
  CommitAll(&narrow, RunStep(&narrow));
  plan = RunStep(&narrow);
  CHECK(InBackground(plan) == std::vector<SequenceId>{1, 2, 3, 4});
}
