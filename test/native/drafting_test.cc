#include "schedule/drafting.h"

#include <doctest.h>

#include <vector>

#include "scheduler_fixture.h"

namespace {

SchedulerLimits DraftingLimits(int32_t n_slots, int32_t n_cells) {
  SchedulerLimits limits = Limits(n_slots, n_cells);
  limits.n_drafted = 8;
  limits.max_draft_tokens = 4;
  return limits;
}

// Sequences 1 to n that decode, of which one plain step was measured.
void Decode(Scheduler* scheduler, int32_t n, int32_t n_tokens = 20) {
  for (SequenceId id = 1; id <= static_cast<SequenceId>(n); ++id) {
    AddUnique(scheduler, id, n_tokens);
  }
  RunStep(scheduler);
  const StepPlan plan = RunStep(scheduler);
  scheduler->Measured(plan, 10.0);
}

}  // namespace

TEST_CASE("a draft is computed behind the last token, and its rejected tokens are cut") {
  Scheduler scheduler(DraftingLimits(2, 1000));
  Decode(&scheduler, 1);
  const std::vector<DraftCall> calls = scheduler.DraftCalls();
  REQUIRE(calls.size() == 1);
  CHECK(calls[0].max_tokens == 4);
  CHECK(calls[0].tokens.size() == 22);
  scheduler.AddDraft(1, {7, 8, 9});
  StepPlan plan = scheduler.Plan();
  REQUIRE(plan.work.size() == 1);
  CHECK(plan.work[0].first == 21);
  CHECK(plan.work[0].n_tokens == 1);
  CHECK(plan.work[0].draft == std::vector<Token>{7, 8, 9});
  scheduler.Commit(plan);
  CHECK(scheduler.Append(1, std::vector<Token>{7, 5}) == 1);
  scheduler.CheckIntegrity();
  CHECK(scheduler.cache().n_used() == 23);
  plan = scheduler.Plan();
  REQUIRE(plan.edits.size() == 1);
  CHECK(plan.edits[0].kind == CacheEdit::Kind::kCut);
  CHECK(plan.edits[0].n_tokens == 23);
  CHECK(plan.work[0].first == 23);
  CHECK(plan.work[0].draft.empty());
}

TEST_CASE("a sequence that ends within its draft leaves only its own tokens behind") {
  Scheduler scheduler(DraftingLimits(2, 1000));
  Decode(&scheduler, 1);
  scheduler.DraftCalls();
  scheduler.AddDraft(1, {7, 8, 9});
  scheduler.Commit(scheduler.Plan());
  CHECK(scheduler.Append(1, std::vector<Token>{7, 8}) == 2);
  scheduler.Finish(1);
  scheduler.CheckIntegrity();
  CHECK(scheduler.cache().n_used() == 24);
}

TEST_CASE("there are no drafts beside a prompt, and a draft gives way to a new one") {
  Scheduler scheduler(DraftingLimits(2, 1000));
  Decode(&scheduler, 1);
  CHECK(scheduler.DraftCalls().size() == 1);
  scheduler.AddDraft(1, {7, 8, 9});
  AddUnique(&scheduler, 2, 200);
  const StepPlan plan = RunStep(&scheduler);
  CHECK(plan.work.size() == 2);
  CHECK(plan.n_drafted() == 0);
  CHECK(scheduler.DraftCalls().empty());
}

TEST_CASE("drafts share the draft tokens of a step") {
  Scheduler scheduler(DraftingLimits(4, 1000));
  Decode(&scheduler, 4);
  int32_t n = 0;
  for (const DraftCall& call : scheduler.DraftCalls()) {
    CHECK(call.max_tokens == 2);
    n += call.max_tokens;
  }
  CHECK(n == 8);
}

TEST_CASE("a draft takes no cell that a running sequence needs, but those of cached prefixes") {
  Scheduler scheduler(DraftingLimits(2, 64));
  AddUnique(&scheduler, 9, 20);
  RunStep(&scheduler);
  scheduler.Finish(9);
  Decode(&scheduler, 2);
  // 20 cached cells, twice 22 of running ones: 20 are free for drafts once the cached ones are
  // gone.
  CHECK(scheduler.DraftCalls().size() == 2);
  scheduler.AddDraft(1, {1, 2, 3, 4});
  scheduler.AddDraft(2, {1, 2, 3, 4});
  const StepPlan plan = RunStep(&scheduler);
  CHECK(plan.n_drafted() == 8);
  CHECK(scheduler.cache().n_prefixes() == 0);
  int32_t n_used = 0;
  while (scheduler.n_preempted() == 0) {
    n_used = scheduler.cache().n_used();
    scheduler.DraftCalls();
    scheduler.AddDraft(1, {1, 2, 3, 4});
    scheduler.AddDraft(2, {1, 2, 3, 4});
    RunStep(&scheduler);
  }
  // Both got as far as without drafts.
  CHECK(n_used >= 63);
}

TEST_CASE("a memory without room for a draft suspends drafts for some time") {
  Scheduler scheduler(DraftingLimits(1, 1000));
  Decode(&scheduler, 1);
  scheduler.DraftCalls();
  scheduler.AddDraft(1, {7, 8});
  StepPlan plan = scheduler.Plan();
  REQUIRE(plan.n_drafted() == 2);
  CHECK(scheduler.MakeRoom(plan));
  CHECK(scheduler.DraftCalls().empty());
  CHECK(RunStep(&scheduler).work.size() == 1);
  CHECK(!scheduler.MakeRoom(scheduler.Plan()));
}

TEST_CASE("there are no drafts where the memory cannot be cut") {
  SchedulerLimits limits = DraftingLimits(1, 1000);
  limits.cache.cuts = false;
  Scheduler scheduler(limits);
  Decode(&scheduler, 1);
  CHECK(scheduler.DraftCalls().empty());
}
