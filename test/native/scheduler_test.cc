#include "schedule/scheduler.h"

#include <doctest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <stdexcept>

namespace {

SchedulerLimits Limits(int32_t n_slots, int32_t n_cells, int32_t n_batch = 256,
                       int32_t n_ubatch = 64) {
  return {.n_slots = n_slots,
          .n_batch = n_batch,
          .n_ubatch = n_ubatch,
          .cache = {.n_ids = n_slots + 8, .n_cells = n_cells}};
}

std::vector<Token> Range(Token first, int32_t n) {
  std::vector<Token> tokens(n);
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

std::vector<Token> Joined(std::vector<Token> tokens, const std::vector<Token>& tail) {
  tokens.insert(tokens.end(), tail.begin(), tail.end());
  return tokens;
}

// A prompt that shares nothing with another id's.
void AddUnique(Scheduler* scheduler, SequenceId id, int32_t n_tokens) {
  scheduler->Add(id, Range(static_cast<Token>(id) * 100'000, n_tokens), "");
}

int32_t TotalTokens(const StepPlan& plan) {
  int32_t n = 0;
  for (const StepWork& work : plan.work) n += work.n_tokens;
  return n;
}

const StepWork* WorkOf(const StepPlan& plan, SequenceId id) {
  const auto found = std::find_if(plan.work.begin(), plan.work.end(),
                                  [id](const StepWork& work) { return work.id == id; });
  return found == plan.work.end() ? nullptr : &*found;
}

// The only share of the lane's work.
LaneShare LaneOf(const StepPlan& plan) {
  REQUIRE(plan.lane);
  REQUIRE(plan.lane->shares.size() == 1);
  return plan.lane->shares[0];
}

// Runs one step as the engine does: every sequence that samples grows by a token. A prompt token
// takes a millisecond, decoding nothing.
StepPlan RunStep(Scheduler* scheduler) {
  StepPlan plan = scheduler->Plan();
  scheduler->Commit(plan);
  for (const StepWork& work : plan.work) {
    if (work.samples) scheduler->Append(work.id, std::vector<Token>{-1});
  }
  if (!plan.empty()) scheduler->Measured(plan, 1.0 * TotalTokens(plan));
  scheduler->CheckIntegrity();
  return plan;
}

// Steps until a sequence has given way.
void RunUntilPaused(Scheduler* scheduler) {
  const uint64_t n_paused = scheduler->n_paused();
  for (int i = 0; i < 200 && scheduler->n_paused() == n_paused; ++i) RunStep(scheduler);
  REQUIRE(scheduler->n_paused() > n_paused);
}

}  // namespace

TEST_CASE("prompts that wait together are prefilled together") {
  Scheduler scheduler(Limits(4, 1000));
  for (SequenceId id = 1; id <= 4; ++id) AddUnique(&scheduler, id, 20);
  const StepPlan plan = RunStep(&scheduler);
  CHECK(plan.work.size() == 4);
  CHECK(TotalTokens(plan) == 80);
  CHECK(std::all_of(plan.work.begin(), plan.work.end(), [](auto& work) { return work.samples; }));
}

TEST_CASE("beside a running decode a long prompt gets what the target leaves") {
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
    if (!plan.work[1].samples) CHECK(plan.work[1].n_tokens == 39);
  }
}

namespace {

SchedulerLimits LaneLimits() {
  SchedulerLimits limits = Limits(4, 4 * 1000, 512, 256);
  limits.step_target_ms = 40;
  limits.n_lane_tokens = 900;
  limits.cache.n_ids = 4;
  limits.cache.shares_cells = false;
  return limits;
}

}  // namespace

TEST_CASE("beside a running decode a long prompt has the lane, and its last token the batch") {
  Scheduler scheduler(LaneLimits());
  AddUnique(&scheduler, 1, 10);
  RunStep(&scheduler);
  AddUnique(&scheduler, 2, 500);
  for (int i = 0; i < 3; ++i) {
    const StepPlan plan = RunStep(&scheduler);
    REQUIRE(plan.lane);
    CHECK(LaneOf(plan).id == 2);
    CHECK(LaneOf(plan).first == 0);
    CHECK(LaneOf(plan).n_tokens == 499);
    CHECK(plan.lane->ms <= 40);
    CHECK(plan.lane->slack_ms > 0);
    CHECK(WorkOf(plan, 1) != nullptr);
    CHECK(WorkOf(plan, 2) == nullptr);
    if (i == 2) scheduler.CommitLane(LaneOf(plan), 499);
  }
  const StepPlan plan = RunStep(&scheduler);
  CHECK(!plan.lane);
  REQUIRE(WorkOf(plan, 2) != nullptr);
  CHECK(WorkOf(plan, 2)->first == 499);
  CHECK(WorkOf(plan, 2)->samples);
}

TEST_CASE("the lane is for long prompts that fit it") {
  Scheduler scheduler(LaneLimits());
  AddUnique(&scheduler, 1, 10);
  RunStep(&scheduler);
  AddUnique(&scheduler, 2, 128);
  CHECK(!RunStep(&scheduler).lane);
  AddUnique(&scheduler, 3, 901);
  CHECK(!RunStep(&scheduler).lane);
  scheduler.Add(4, Range(400'000, 500), "", /*scores_prompt=*/true);
  CHECK(!RunStep(&scheduler).lane);
}

TEST_CASE(
    "while nobody decodes, a prompt of several steps has the lane, and who comes goes first") {
  Scheduler scheduler(LaneLimits());
  AddUnique(&scheduler, 1, 256);
  CHECK(!RunStep(&scheduler).lane);
  scheduler.Finish(1);
  AddUnique(&scheduler, 2, 600);
  StepPlan plan = RunStep(&scheduler);
  REQUIRE(plan.lane);
  CHECK(LaneOf(plan).id == 2);
  CHECK(plan.lane->slack_ms == LaneWork::kNoLimit);
  CHECK(plan.work.empty());
  // The one is as long, the other is computed at once.
  AddUnique(&scheduler, 3, 600);
  AddUnique(&scheduler, 4, 256);
  plan = RunStep(&scheduler);
  CHECK(LaneOf(plan).id == 2);
  CHECK(WorkOf(plan, 3) == nullptr);
  REQUIRE(WorkOf(plan, 4) != nullptr);
  CHECK(WorkOf(plan, 4)->samples);
  plan = RunStep(&scheduler);
  CHECK(plan.lane->slack_ms < 40);
}

TEST_CASE("a prompt that misses too little of what is cached does not wait for the lane") {
  SchedulerLimits limits = LaneLimits();
  limits.n_ubatch = 16;
  Scheduler scheduler(limits);
  scheduler.Add(1, Range(0, 600), "");
  StepPlan plan = RunStep(&scheduler);
  scheduler.CommitLane(LaneOf(plan), 599);
  RunStep(&scheduler);
  scheduler.Finish(1);
  AddUnique(&scheduler, 2, 500);
  CHECK(LaneOf(RunStep(&scheduler)).id == 2);
  scheduler.Add(3, Joined(Range(0, 600), Range(900'000, 30)), "");
  plan = RunStep(&scheduler);
  CHECK(LaneOf(plan).id == 2);
  REQUIRE(WorkOf(plan, 3) != nullptr);
  CHECK(WorkOf(plan, 3)->first == 600);
}

TEST_CASE("a prompt beside the one in the lane gets half the time of prompts") {
  Scheduler scheduler(LaneLimits());
  AddUnique(&scheduler, 1, 10);
  RunStep(&scheduler);
  AddUnique(&scheduler, 2, 500);
  RunStep(&scheduler);
  const double whole_ms = RunStep(&scheduler).lane->ms;
  AddUnique(&scheduler, 3, 500);
  const StepPlan plan = RunStep(&scheduler);
  REQUIRE(WorkOf(plan, 3) != nullptr);
  CHECK(WorkOf(plan, 3)->n_tokens == static_cast<int32_t>(whole_ms / 2));
  CHECK(LaneOf(plan).id == 2);
  CHECK(plan.lane->ms == doctest::Approx(whole_ms / 2));
}

TEST_CASE("a prompt goes on in the lane when nobody decodes any more") {
  Scheduler scheduler(LaneLimits());
  AddUnique(&scheduler, 1, 10);
  RunStep(&scheduler);
  AddUnique(&scheduler, 2, 500);
  RunStep(&scheduler);
  scheduler.Finish(1);
  const StepPlan plan = RunStep(&scheduler);
  CHECK(!plan.empty());
  CHECK(plan.work.empty());
  REQUIRE(plan.lane);
  CHECK(plan.lane->ms == doctest::Approx(40));
}

TEST_CASE("a prompt in the lane comes out where a younger one branches off") {
  Scheduler scheduler(LaneLimits());
  AddUnique(&scheduler, 1, 10);
  RunStep(&scheduler);
  scheduler.Add(2, Range(0, 500), "");
  CHECK(LaneOf(RunStep(&scheduler)).n_tokens == 499);
  scheduler.Add(3, Joined(Range(0, 300), Range(900'000, 20)), "");
  StepPlan plan = RunStep(&scheduler);
  CHECK(LaneOf(plan).n_tokens == 300);
  CHECK(WorkOf(plan, 3) == nullptr);
  // By then it had already got further.
  scheduler.CommitLane(LaneOf(plan), 350);
  plan = RunStep(&scheduler);
  REQUIRE(WorkOf(plan, 3) != nullptr);
  CHECK(WorkOf(plan, 3)->first == 300);
  CHECK(LaneOf(plan).id == 2);
  CHECK(LaneOf(plan).first == 350);
}

TEST_CASE("whoever leaves the lane frees it, and whom it failed does not come back") {
  Scheduler scheduler(LaneLimits());
  AddUnique(&scheduler, 1, 10);
  RunStep(&scheduler);
  AddUnique(&scheduler, 2, 500);
  AddUnique(&scheduler, 3, 500);
  CHECK(LaneOf(RunStep(&scheduler)).id == 2);
  scheduler.SetHeld(2, true);
  CHECK(LaneOf(RunStep(&scheduler)).id == 3);
  scheduler.SetHeld(2, false);
  scheduler.Finish(3);
  StepPlan plan = RunStep(&scheduler);
  CHECK(LaneOf(plan).id == 2);
  scheduler.LaneFailed(LaneOf(plan), /*emptied=*/true);
  plan = RunStep(&scheduler);
  CHECK(!plan.lane);
  REQUIRE(WorkOf(plan, 2) != nullptr);
  CHECK(WorkOf(plan, 2)->first == 0);
}

namespace {

SchedulerLimits FanLimits() {
  SchedulerLimits limits = LaneLimits();
  limits.n_slots = limits.cache.n_ids = 8;
  limits.cache.n_cells = 8 * 1000;
  limits.n_lane_sequences = 8;
  return limits;
}

// A prompt that shares the first `n_shared` tokens with others of its kind.
void AddSharing(Scheduler* scheduler, SequenceId id, int32_t n_shared, int32_t n_own) {
  const auto own = Range(static_cast<Token>(id) * 100'000, n_own);
  scheduler->Add(id, Joined(Range(0, n_shared), own), "");
}

// Everything is computed in the lane as planned.
void CommitAll(Scheduler* scheduler, const StepPlan& plan) {
  for (const LaneShare& share : plan.lane->shares) scheduler->CommitLane(share, share.n_tokens);
  scheduler->CheckIntegrity();
}

std::vector<SequenceId> InLane(const StepPlan& plan) {
  std::vector<SequenceId> ids;
  if (plan.lane) {
    for (const LaneShare& share : plan.lane->shares) ids.push_back(share.id);
  }
  return ids;
}

}  // namespace

TEST_CASE("the rests behind a common beginning are computed side by side in the lane") {
  Scheduler scheduler(FanLimits());
  for (SequenceId id = 1; id <= 5; ++id) AddSharing(&scheduler, id, 400, 20);
  StepPlan plan = RunStep(&scheduler);
  CHECK(LaneOf(plan).id == 1);
  CHECK(LaneOf(plan).n_tokens == 400);
  CommitAll(&scheduler, plan);
  plan = RunStep(&scheduler);
  REQUIRE(plan.lane);
  CHECK(plan.work.empty());
  CHECK(InLane(plan) == std::vector<SequenceId>{1, 2, 3, 4, 5});
  for (const LaneShare& share : plan.lane->shares) {
    CHECK(share.first == 400);
    CHECK(share.n_tokens == 19);
  }
  CommitAll(&scheduler, plan);
  plan = RunStep(&scheduler);
  CHECK(!plan.lane);
  CHECK(plan.work.size() == 5);
  CHECK(TotalTokens(plan) == 5);
}

TEST_CASE("whoever leaves the lane leaves it to the others") {
  Scheduler scheduler(FanLimits());
  for (SequenceId id = 1; id <= 5; ++id) AddSharing(&scheduler, id, 400, 30);
  CommitAll(&scheduler, RunStep(&scheduler));
  RunStep(&scheduler);
  scheduler.Drop(1);
  scheduler.SetHeld(3, true);
  AddSharing(&scheduler, 6, 400, 30);
  StepPlan plan = RunStep(&scheduler);
  CHECK(InLane(plan) == std::vector<SequenceId>{2, 4, 5});
  // Who comes later is computed in the batch.
  CHECK(WorkOf(plan, 6) != nullptr);
  scheduler.LaneFailed(plan.lane->shares[0], /*emptied=*/false);
  scheduler.CommitLane(plan.lane->shares[1], plan.lane->shares[1].n_tokens);
  plan = RunStep(&scheduler);
  CHECK(InLane(plan) == std::vector<SequenceId>{5});
  CHECK(WorkOf(plan, 2) != nullptr);
  CHECK(WorkOf(plan, 4)->samples);
}

TEST_CASE("the one of which most is cached leads those in the lane") {
  Scheduler scheduler(FanLimits());
  AddSharing(&scheduler, 1, 400, 20);
  CommitAll(&scheduler, RunStep(&scheduler));
  RunStep(&scheduler);
  scheduler.Finish(1);
  // What they share with what was kept differs.
  AddSharing(&scheduler, 2, 300, 40);
  AddSharing(&scheduler, 3, 380, 40);
  AddSharing(&scheduler, 4, 350, 40);
  const StepPlan plan = RunStep(&scheduler);
  CHECK(InLane(plan) == std::vector<SequenceId>{3, 2, 4});
  REQUIRE(plan.lane);
  CHECK(plan.lane->shares[0].first == 380);
  CHECK(plan.lane->shares[1].first == 300);
  CHECK(plan.lane->shares[2].first == 350);
}

TEST_CASE("rests that are not worth it are computed in the batch") {
  struct Case {
    int32_t n_shared, n_own, n_chats, n_lane_sequences;
  };
  // Behind little, of few tokens, of many, of few in all, and where there is no room for several.
  for (const Case& each : {Case{200, 20, 5, 8}, Case{400, 8, 5, 8}, Case{400, 80, 5, 8},
                           Case{400, 20, 3, 8}, Case{400, 20, 5, 1}}) {
    SchedulerLimits limits = FanLimits();
    limits.n_lane_sequences = each.n_lane_sequences;
    Scheduler scheduler(limits);
    AddSharing(&scheduler, 100, each.n_shared, 1);
    for (int i = 0; i < 3; ++i) {
      const StepPlan plan = RunStep(&scheduler);
      if (plan.lane) CommitAll(&scheduler, plan);
    }
    scheduler.Finish(100);
    for (int32_t i = 1; i <= each.n_chats; ++i) {
      AddSharing(&scheduler, i, each.n_shared, each.n_own);
    }
    const StepPlan plan = RunStep(&scheduler);
    CHECK(!plan.lane);
    CHECK(!plan.work.empty());
  }
}

TEST_CASE("no more come to the lane than it has room for") {
  SchedulerLimits limits = FanLimits();
  limits.n_lane_tokens = 520;
  Scheduler scheduler(limits);
  for (SequenceId id = 1; id <= 5; ++id) AddSharing(&scheduler, id, 400, 41);
  CommitAll(&scheduler, RunStep(&scheduler));
  StepPlan plan = RunStep(&scheduler);
  CHECK(InLane(plan) == std::vector<SequenceId>{1, 2, 3});
  limits.n_lane_tokens = 900;
  limits.n_lane_sequences = 4;
  Scheduler narrow(limits);
  for (SequenceId id = 1; id <= 5; ++id) AddSharing(&narrow, id, 400, 41);
  CommitAll(&narrow, RunStep(&narrow));
  plan = RunStep(&narrow);
  CHECK(InLane(plan) == std::vector<SequenceId>{1, 2, 3, 4});
}

TEST_CASE("alone, a long prompt gets a ubatch a step") {
  Scheduler scheduler(Limits(2, 1000));
  AddUnique(&scheduler, 1, 150);
  CHECK(TotalTokens(RunStep(&scheduler)) == 64);
  CHECK(TotalTokens(RunStep(&scheduler)) == 64);
  CHECK(TotalTokens(RunStep(&scheduler)) == 22);
}

TEST_CASE("behind a prompt that takes a ubatch come those that can be finished") {
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

namespace {

SchedulerLimits SplitLimits(int32_t n_slots) {
  SchedulerLimits limits = Limits(n_slots, n_slots * 512);
  limits.n_worth_moves = n_slots;
  limits.cache = {.n_ids = n_slots,
                  .n_cells = n_slots * 512,
                  .shares_cells = false,
                  .n_min_copy = 64,
                  .n_most_swap = 512};
  return limits;
}

// The cache ids of a step, in order.
std::vector<CacheId> IdsOf(const StepPlan& plan) {
  std::vector<CacheId> ids;
  for (const StepWork& work : plan.work) ids.push_back(work.cache_id);
  std::ranges::sort(ids);
  return ids;
}

// Sequences of 10 tokens, 0 to `n` - 1, decode in as many ids; then these finish, in this order.
void RunAndFinish(Scheduler* scheduler, SequenceId n, const std::vector<SequenceId>& finished) {
  for (SequenceId id = 0; id < n; ++id) AddUnique(scheduler, id, 10);
  RunStep(scheduler);
  for (const SequenceId id : finished) scheduler->Finish(id);
}

bool AreNeighbours(const StepPlan& plan) {
  const std::vector<CacheId> ids = IdsOf(plan);
  return ids.back() - ids.front() + 1 == static_cast<CacheId>(ids.size());
}

}  // namespace

TEST_CASE("who is left of many moves together, when nobody comes to fill the gaps") {
  Scheduler scheduler(SplitLimits(8));
  for (SequenceId id = 0; id < 8; ++id) AddUnique(&scheduler, id, 10);
  CHECK(IdsOf(RunStep(&scheduler)) == std::vector<CacheId>{0, 1, 2, 3, 4, 5, 6, 7});
  for (const SequenceId id : {1, 2, 4, 6}) scheduler.Finish(id);
  CHECK(!AreNeighbours(RunStep(&scheduler)));
  StepPlan plan;
  for (int step = 0; step < 30; ++step) {
    plan = RunStep(&scheduler);
    CHECK(plan.work.size() == 4);
  }
  CHECK(AreNeighbours(plan));
  CHECK(scheduler.n_moved() <= 3);
  // What was kept had to make way, and is there still.
  CHECK(scheduler.cache().n_kept() == 4);
}

TEST_CASE("without a free id a prefix is dropped for a move, or nobody moves") {
  for (const bool drops : {true, false}) {
    CAPTURE(drops);
    SchedulerLimits limits = SplitLimits(8);
    limits.cache.n_most_swap = 9;
    limits.cache.drops_to_move = drops;
    Scheduler scheduler(limits);
    RunAndFinish(&scheduler, 8, {1, 2, 4, 6});
    StepPlan plan;
    for (int step = 0; step < 30; ++step) plan = RunStep(&scheduler);
    CHECK(AreNeighbours(plan) == drops);
    CHECK((scheduler.n_moved() > 0) == drops);
    CHECK(scheduler.cache().n_kept() == (drops ? 3 : 4));
  }
}

TEST_CASE("as many conversations as slots keep their prefixes, whoever speaks at the same time") {
  constexpr SequenceId kChats = 6;
  Scheduler scheduler(SplitLimits(kChats));
  std::vector<std::vector<Token>> chats(kChats);
  SequenceId next_id = 1;
  for (int round = 0; round < 40; ++round) {
    // Two or three speak, one after the other in the order of a dance.
    std::map<SequenceId, size_t> speakers;
    const int n_speakers = 2 + round % 2;
    for (int i = 0; i < n_speakers; ++i) {
      const size_t chat = (round + i * (1 + round % 3)) % kChats;
      if (std::ranges::any_of(speakers, [&](const auto& item) { return item.second == chat; })) {
        continue;
      }
      const auto n_cached = static_cast<int32_t>(chats[chat].size());
      const Token first = static_cast<Token>(1'000'000 * (chat + 1) + 100 * round);
      for (int32_t token = 0; token < 7; ++token) chats[chat].push_back(first + token);
      scheduler.Add(next_id, chats[chat], "");
      speakers[next_id++] = chat;
      if (n_cached == 0) continue;
      const StepPlan plan = scheduler.Plan();
      const StepWork* work = WorkOf(plan, next_id - 1);
      REQUIRE(work != nullptr);
      // All but the last token, which was sampled and not computed.
      CHECK(work->first >= n_cached - 1);
    }
    for (int step = 0; step < 12; ++step) {
      const StepPlan plan = RunStep(&scheduler);
      for (const StepWork& work : plan.work) {
        if (work.samples) chats[speakers.at(work.id)].push_back(-1);
      }
    }
    for (const auto& [id, chat] : speakers) scheduler.Finish(id);
  }
  CHECK(scheduler.n_moved() > 0);
}

TEST_CASE("who comes is computed beside the others at once") {
  Scheduler scheduler(SplitLimits(8));
  // Ids 0 to 7 hold prefixes, 2 and 3 those that were used longest ago.
  RunAndFinish(&scheduler, 8, {2, 3, 0, 1, 4, 5, 6, 7});
  AddUnique(&scheduler, 10, 10);
  RunStep(&scheduler);
  // Continues what id 7 holds.
  scheduler.Add(11, Joined(Range(700'000, 10), {-1, -2, -3}), "");
  const StepPlan plan = RunStep(&scheduler);
  CHECK(AreNeighbours(plan));
  REQUIRE(WorkOf(plan, 11) != nullptr);
  CHECK(WorkOf(plan, 11)->first == 10);
  CHECK(scheduler.n_moved() == 1);
}

TEST_CASE("those that come together get their ids in order") {
  SchedulerLimits limits = SplitLimits(4);
  limits.n_batch = 64;
  Scheduler scheduler(limits);
  RunAndFinish(&scheduler, 4, {2, 0, 3, 1});
  for (SequenceId id = 10; id < 14; ++id) AddUnique(&scheduler, id, 30);
  const StepPlan plan = RunStep(&scheduler);
  CHECK(plan.work.size() == 3);
  for (size_t i = 0; i < plan.work.size(); ++i) {
    CHECK(plan.work[i].id == 10 + i);
    CHECK(plan.work[i].cache_id == static_cast<CacheId>(i));
  }
}

TEST_CASE("nobody moves where a gap costs less than moves would") {
  SchedulerLimits limits = SplitLimits(8);
  limits.n_worth_moves = 1;
  Scheduler scheduler(limits);
  RunAndFinish(&scheduler, 8, {2, 3, 6, 7});
  for (int step = 0; step < 20; ++step) RunStep(&scheduler);
  CHECK(scheduler.n_moved() == 0);
}

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

TEST_CASE("a sequence that finds no room waits, and nobody overtakes it") {
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

TEST_CASE(
    "when decoding fills the cache the youngest gives way, and comes back with all its tokens") {
  Scheduler scheduler(Limits(2, 40));
  AddUnique(&scheduler, 1, 15);
  AddUnique(&scheduler, 2, 15);
  RunUntilPaused(&scheduler);
  CHECK(scheduler.n_running() == 1);
  for (int i = 0; i < 5; ++i) CHECK(WorkOf(RunStep(&scheduler), 2) == nullptr);
  scheduler.Drop(1);
  const StepPlan plan = RunStep(&scheduler);
  REQUIRE(plan.work.size() == 1);
  CHECK(plan.work[0].id == 2);
  CHECK(plan.work[0].first + plan.work[0].n_tokens == 21);
}

TEST_CASE("finished prefixes give way before anybody is paused") {
  Scheduler scheduler(Limits(2, 100));
  AddUnique(&scheduler, 1, 60);
  RunStep(&scheduler);
  scheduler.Finish(1);
  CHECK(scheduler.cache().n_kept() == 1);
  AddUnique(&scheduler, 2, 30);
  AddUnique(&scheduler, 3, 30);
  for (int i = 0; i < 15; ++i) RunStep(&scheduler);
  CHECK(scheduler.n_paused() == 0);
  CHECK(scheduler.cache().n_kept() == 0);
}

TEST_CASE("a held sequence keeps its slot and computes nothing") {
  Scheduler scheduler(Limits(2, 100));
  AddUnique(&scheduler, 1, 5);
  AddUnique(&scheduler, 2, 5);
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
  Scheduler scheduler(Limits(2, 300));
  for (SequenceId id = 1; id <= 3; ++id) AddUnique(&scheduler, id, 5);
  RunStep(&scheduler);
  scheduler.SetHeld(1, true);
  RunUntilPaused(&scheduler);
  StepPlan plan = RunStep(&scheduler);
  CHECK(WorkOf(plan, 1) == nullptr);
  CHECK(WorkOf(plan, 3) != nullptr);

  scheduler.SetHeld(2, true);
  scheduler.SetHeld(3, true);
  scheduler.SetHeld(1, false);
  plan = RunStep(&scheduler);
  CHECK(scheduler.n_paused() == 2);
  REQUIRE(plan.work.size() == 1);
  CHECK(plan.work[0].id == 1);
  // Its cells were not needed meanwhile.
  CHECK(plan.work[0].first > 0);
  CHECK(plan.work[0].n_tokens == 1);
}

TEST_CASE("what can never run is refused") {
  Scheduler scheduler(Limits(2, 100));
  CHECK_THROWS_AS(AddUnique(&scheduler, 1, 101), std::logic_error);
  CHECK_THROWS_AS(AddUnique(&scheduler, 1, 0), std::logic_error);
  AddUnique(&scheduler, 1, 100);
  CHECK_THROWS_AS(AddUnique(&scheduler, 1, 5), std::logic_error);
}

TEST_CASE("prompts that arrive together compute what they share once, and sample together") {
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

TEST_CASE("followers that share a little more among themselves do not wait for each other") {
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

TEST_CASE("who followed a sequence that is cancelled goes on from where that was") {
  Scheduler scheduler(Limits(4, 1000));
  for (SequenceId id = 1; id <= 3; ++id) scheduler.Add(id, Range(0, 200), "");
  RunStep(&scheduler);
  scheduler.Finish(1);
  const StepPlan plan = RunStep(&scheduler);
  REQUIRE(plan.work.size() == 1);
  CHECK(plan.work[0].id == 2);
  CHECK(plan.work[0].first == 64);
}

TEST_CASE("nobody waits for a sequence that is held") {
  Scheduler scheduler(Limits(4, 1000));
  for (SequenceId id = 1; id <= 2; ++id) scheduler.Add(id, Range(0, 200), "");
  RunStep(&scheduler);
  scheduler.SetHeld(1, true);
  const StepPlan plan = RunStep(&scheduler);
  REQUIRE(plan.work.size() == 1);
  CHECK(plan.work[0].id == 2);
  CHECK(plan.work[0].first == 64);
}

TEST_CASE("a sequence that is dropped leaves nothing behind") {
  Scheduler scheduler(Limits(4, 1000));
  scheduler.Add(1, Range(0, 50), "");
  RunStep(&scheduler);
  scheduler.Drop(1);
  scheduler.Add(2, Range(0, 50), "");
  CHECK(RunStep(&scheduler).work[0].first == 0);
}

TEST_CASE("where nothing can be cut, sequences share the states at which they part") {
  SchedulerLimits limits = Limits(4, 1000);
  limits.cache.cuts = false;
  Scheduler scheduler(limits);
  scheduler.Add(1, Joined(Range(0, 100), Range(500, 60)), "");
  scheduler.Add(2, Joined(Range(0, 100), Range(700, 60)), "");
  int32_t n_computed = 0;
  for (int i = 0; i < 20 && scheduler.cache().n_kept() < 2; ++i) {
    n_computed += TotalTokens(RunStep(&scheduler));
  }
  CHECK(n_computed <= 100 + 2 * 60 + 2);

  // The next turn starts from the state kept shortly before the prompt's end.
  scheduler.Drop(1);
  scheduler.Add(3, Joined(Joined(Range(0, 100), Range(500, 58)), Range(900, 10)), "");
  CHECK(WorkOf(RunStep(&scheduler), 3)->first == 156);
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
  scheduler.EditFailed(plan.edits[0].id);
  scheduler.CheckIntegrity();
  CHECK(RunStep(&scheduler).work[0].first == 0);
}

TEST_CASE("a prompt that is scored is computed whole, in pieces whose logits can be kept") {
  SchedulerLimits limits = Limits(4, 1000);
  limits.n_scored_rows = 20;
  Scheduler scheduler(limits);
  scheduler.Add(1, Range(0, 50), "");
  RunStep(&scheduler);
  scheduler.Finish(1);
  scheduler.Add(2, Range(0, 50), "", /*scores_prompt=*/true);
  std::vector<int32_t> pieces;
  for (int32_t n = 0; n < 50; n += pieces.back()) {
    const StepPlan plan = RunStep(&scheduler);
    REQUIRE(plan.work.size() == 1);
    CHECK(plan.work[0].first == n);
    CHECK(plan.work[0].scores);
    pieces.push_back(plan.work[0].n_tokens);
  }
  CHECK(pieces == std::vector<int32_t>{20, 20, 10});
  CHECK_FALSE(RunStep(&scheduler).work[0].scores);
}

TEST_CASE("prompts that are scored share the logits of a step, and others pass them by") {
  SchedulerLimits limits = Limits(4, 1000);
  limits.n_scored_rows = 20;
  Scheduler scheduler(limits);
  scheduler.Add(1, Range(0, 50), "", /*scores_prompt=*/true);
  scheduler.Add(2, Range(0, 50), "", /*scores_prompt=*/true);
  scheduler.Add(3, Range(0, 50), "");
  const StepPlan plan = RunStep(&scheduler);
  CHECK(WorkOf(plan, 1)->n_tokens == 20);
  CHECK(WorkOf(plan, 2) == nullptr);
  CHECK(WorkOf(plan, 3)->n_tokens == 50);
}

TEST_CASE("a sequence that was paused scores the rest of its prompt") {
  SchedulerLimits limits = Limits(2, 1000);
  limits.n_scored_rows = 20;
  Scheduler scheduler(limits);
  AddUnique(&scheduler, 1, 10);
  scheduler.Add(2, Range(0, 50), "", /*scores_prompt=*/true);
  RunStep(&scheduler);
  const int32_t n_done = scheduler.cache().n_open_cells() - 10;
  REQUIRE(n_done > 0);
  REQUIRE(n_done < 50);
  REQUIRE(scheduler.MakeRoom(scheduler.Plan()));
  const StepPlan plan = RunStep(&scheduler);
  REQUIRE(WorkOf(plan, 2) != nullptr);
  CHECK(WorkOf(plan, 2)->scores);
  CHECK(WorkOf(plan, 2)->first <= n_done);
}

namespace {

SchedulerLimits GuessingLimits(int32_t n_slots, int32_t n_cells) {
  SchedulerLimits limits = Limits(n_slots, n_cells);
  limits.n_drafted = 8;
  limits.n_draft_max = 4;
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

TEST_CASE("a guess is computed behind the last token, and what was wrong of it is taken out") {
  Scheduler scheduler(GuessingLimits(2, 1000));
  Decode(&scheduler, 1);
  const std::vector<DraftCall> calls = scheduler.DraftCalls();
  REQUIRE(calls.size() == 1);
  CHECK(calls[0].n_most == 4);
  CHECK(calls[0].tokens.size() == 22);
  scheduler.Propose(1, {7, 8, 9});
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

TEST_CASE("what ends within its guess leaves only its own tokens behind") {
  Scheduler scheduler(GuessingLimits(2, 1000));
  Decode(&scheduler, 1);
  scheduler.DraftCalls();
  scheduler.Propose(1, {7, 8, 9});
  scheduler.Commit(scheduler.Plan());
  CHECK(scheduler.Append(1, std::vector<Token>{7, 8}) == 2);
  scheduler.Finish(1);
  scheduler.CheckIntegrity();
  CHECK(scheduler.cache().n_used() == 24);
}

TEST_CASE("nothing is guessed beside a prompt, and a guess gives way to one that comes") {
  Scheduler scheduler(GuessingLimits(2, 1000));
  Decode(&scheduler, 1);
  CHECK(scheduler.DraftCalls().size() == 1);
  scheduler.Propose(1, {7, 8, 9});
  AddUnique(&scheduler, 2, 200);
  const StepPlan plan = RunStep(&scheduler);
  CHECK(plan.work.size() == 2);
  CHECK(plan.n_drafted() == 0);
  CHECK(scheduler.DraftCalls().empty());
}

TEST_CASE("guesses share what may be guessed in a step") {
  Scheduler scheduler(GuessingLimits(4, 1000));
  Decode(&scheduler, 4);
  int32_t n = 0;
  for (const DraftCall& call : scheduler.DraftCalls()) {
    CHECK(call.n_most == 2);
    n += call.n_most;
  }
  CHECK(n == 8);
}

TEST_CASE("a guess takes no cell that a running sequence needs, but those of finished ones") {
  Scheduler scheduler(GuessingLimits(2, 64));
  AddUnique(&scheduler, 9, 20);
  RunStep(&scheduler);
  scheduler.Finish(9);
  Decode(&scheduler, 2);
  // 20 kept cells, twice 22 of running ones: 20 are free for guesses once the kept ones are gone.
  CHECK(scheduler.DraftCalls().size() == 2);
  scheduler.Propose(1, {1, 2, 3, 4});
  scheduler.Propose(2, {1, 2, 3, 4});
  const StepPlan plan = RunStep(&scheduler);
  CHECK(plan.n_drafted() == 8);
  CHECK(scheduler.cache().n_kept() == 0);
  int32_t n_used = 0;
  while (scheduler.n_paused() == 0) {
    n_used = scheduler.cache().n_used();
    scheduler.DraftCalls();
    scheduler.Propose(1, {1, 2, 3, 4});
    scheduler.Propose(2, {1, 2, 3, 4});
    RunStep(&scheduler);
  }
  // Both got as far as without guesses.
  CHECK(n_used >= 63);
}

TEST_CASE("a memory that found no room for a guess is not asked for some time") {
  Scheduler scheduler(GuessingLimits(1, 1000));
  Decode(&scheduler, 1);
  scheduler.DraftCalls();
  scheduler.Propose(1, {7, 8});
  StepPlan plan = scheduler.Plan();
  REQUIRE(plan.n_drafted() == 2);
  CHECK(scheduler.MakeRoom(plan));
  CHECK(scheduler.DraftCalls().empty());
  CHECK(RunStep(&scheduler).work.size() == 1);
  CHECK(!scheduler.MakeRoom(scheduler.Plan()));
}

TEST_CASE("nothing is guessed where nothing can be cut") {
  SchedulerLimits limits = GuessingLimits(1, 1000);
  limits.cache.cuts = false;
  Scheduler scheduler(limits);
  Decode(&scheduler, 1);
  CHECK(scheduler.DraftCalls().empty());
}
