#include "schedule/scheduler.h"

#include <doctest.h>

#include <stdexcept>
#include <vector>

#include "scheduler_fixture.h"

TEST_CASE("a sequence that can never run is refused") {
  Scheduler scheduler(Limits(2, 100));
  CHECK_THROWS_AS(AddUnique(&scheduler, 1, 101), std::logic_error);
  CHECK_THROWS_AS(AddUnique(&scheduler, 1, 0), std::logic_error);
  AddUnique(&scheduler, 1, 100);
  CHECK_THROWS_AS(AddUnique(&scheduler, 1, 5), std::logic_error);
}

TEST_CASE("a sequence that is dropped leaves nothing behind") {
  Scheduler scheduler(Limits(4, 1000));
  scheduler.Add(1, Range(0, 50), "");
  RunStep(&scheduler);
  scheduler.Drop(1);
  scheduler.Add(2, Range(0, 50), "");
  CHECK(RunStep(&scheduler).work[0].first == 0);
}

TEST_CASE("an edit that the memory refused costs the sequence its prefix and nothing else") {
  Scheduler scheduler(Limits(4, 1000));
  scheduler.Add(1, Range(0, 50), "");
  RunStep(&scheduler);
  scheduler.Finish(1);
  scheduler.Add(2, Joined(Range(0, 40), Range(900, 40)), "");
  const StepPlan plan = scheduler.Plan();
  REQUIRE(plan.edits.size() == 1);
  REQUIRE(plan.work[0].first == 40);
  scheduler.EditFailed(plan.edits[0]);
  scheduler.CheckIntegrity();
  CHECK(RunStep(&scheduler).work[0].first == 0);
}
