#include "schedule/slot_compaction.h"

#include <doctest.h>

#include <algorithm>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "scheduler_fixture.h"

namespace {

// One letter for each id: . free, k cached, w idle, s fixed, m movable.
std::vector<SlotUse> Uses(const std::string& letters) {
  std::vector<SlotUse> uses;
  for (const char letter : letters) {
    uses.push_back(letter == '.'   ? SlotUse::kFree
                   : letter == 'k' ? SlotUse::kCached
                   : letter == 'w' ? SlotUse::kIdle
                   : letter == 's' ? SlotUse::kFixed
                                   : SlotUse::kMovable);
  }
  return uses;
}

std::pair<int32_t, int32_t> Move(const std::string& letters, int32_t max_moves = 8) {
  const auto move = NextSlotMove(Uses(letters), max_moves);
  return move ? std::pair{move->from, move->to} : std::pair{-1, -1};
}

constexpr std::pair<int32_t, int32_t> kNone{-1, -1};

}  // namespace

TEST_CASE("adjacent ids are one run, and an idle one parts them") {
  CHECK(CountRuns(Uses("")) == 0);
  CHECK(CountRuns(Uses(".kw")) == 0);
  CHECK(CountRuns(Uses("msm")) == 1);
  CHECK(CountRuns(Uses("m.mwsk")) == 3);
}

TEST_CASE("no sequence moves where nothing is gained") {
  CHECK(Move("") == kNone);
  CHECK(Move("..mm..") == kNone);
  CHECK(Move("mm.ss", 1) == kNone);
  CHECK(Move("s.s") == kNone);
  CHECK(Move("mwm") == kNone);
}

TEST_CASE("the shortest run moves, its far end first, rather to a free id") {
  CHECK(Move("mmm.m") == std::pair{4, 3});
  CHECK(Move("m.mmm") == std::pair{0, 1});
  CHECK(Move("mmmk..m..") == std::pair{6, 3});
  CHECK(Move("kmmm.mm.") == std::pair{6, 4});
  CHECK(Move("kmmmk...m") == std::pair{8, 0});
  CHECK(Move(".mmmk...m") == std::pair{8, 0});
}

TEST_CASE("a place between two runs is better than one beside a run") {
  CHECK(Move("ss.ss..mk") == std::pair{7, 2});
}

TEST_CASE("a fixed sequence is not moved, but moved to") {
  CHECK(Move("s..mm") == std::pair{4, 1});
  CHECK(Move("sm..m") == std::pair{4, 2});
}

TEST_CASE("moves end, in one run where there is room for it") {
  std::mt19937 random(1);
  for (int round = 0; round < 2000; ++round) {
    std::vector<SlotUse> uses(1 + random() % 40);
    for (SlotUse& use : uses) use = static_cast<SlotUse>(random() % 5);
    const bool only_moves = round % 2 == 0;
    if (only_moves) {
      for (SlotUse& use : uses) {
        if (use == SlotUse::kFixed || use == SlotUse::kIdle) use = SlotUse::kMovable;
      }
    }
    int n_moves = 0;
    while (const auto move = NextSlotMove(uses, 40)) {
      REQUIRE(uses[move->from] == SlotUse::kMovable);
      REQUIRE((uses[move->to] == SlotUse::kFree || uses[move->to] == SlotUse::kCached));
      // A prefix goes where there is room, or is dropped; a free id is as good for this.
      uses[move->to] = SlotUse::kMovable;
      uses[move->from] = SlotUse::kFree;
      REQUIRE(++n_moves < 400);
    }
    if (only_moves) REQUIRE(CountRuns(uses) <= 1);
  }
}

namespace {

SchedulerLimits SplitLimits(int32_t n_slots) {
  SchedulerLimits limits = Limits(n_slots, n_slots * 512);
  limits.max_compaction_moves = n_slots;
  limits.cache = {.n_ids = n_slots,
                  .n_cells = n_slots * 512,
                  .shares_cells = false,
                  .min_copy_tokens = 64,
                  .max_swap_tokens = 512};
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

bool AreAdjacent(const StepPlan& plan) {
  const std::vector<CacheId> ids = IdsOf(plan);
  return ids.back() - ids.front() + 1 == static_cast<CacheId>(ids.size());
}

}  // namespace

TEST_CASE("the sequences left of many move together, when no new one fills the gaps") {
  Scheduler scheduler(SplitLimits(8));
  for (SequenceId id = 0; id < 8; ++id) AddUnique(&scheduler, id, 10);
  CHECK(IdsOf(RunStep(&scheduler)) == std::vector<CacheId>{0, 1, 2, 3, 4, 5, 6, 7});
  for (const SequenceId id : {1, 2, 4, 6}) scheduler.Finish(id);
  CHECK(!AreAdjacent(RunStep(&scheduler)));
  StepPlan plan;
  for (int step = 0; step < 30; ++step) {
    plan = RunStep(&scheduler);
    CHECK(plan.work.size() == 4);
  }
  CHECK(AreAdjacent(plan));
  CHECK(scheduler.n_moved() <= 3);
  // What was kept had to make way, and is there still.
  CHECK(scheduler.cache().n_prefixes() == 4);
}

TEST_CASE("without a free id a prefix is dropped for a move, or no sequence moves") {
  for (const bool drops : {true, false}) {
    CAPTURE(drops);
    SchedulerLimits limits = SplitLimits(8);
    limits.cache.max_swap_tokens = 9;
    limits.cache.drops_to_move = drops;
    Scheduler scheduler(limits);
    RunAndFinish(&scheduler, 8, {1, 2, 4, 6});
    StepPlan plan;
    for (int step = 0; step < 30; ++step) plan = RunStep(&scheduler);
    CHECK(AreAdjacent(plan) == drops);
    CHECK((scheduler.n_moved() > 0) == drops);
    CHECK(scheduler.cache().n_prefixes() == (drops ? 3 : 4));
  }
}

TEST_CASE("as many conversations as slots keep their prefixes, in any order of turns") {
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

TEST_CASE("a new sequence is computed beside the others at once") {
  Scheduler scheduler(SplitLimits(8));
  // Ids 0 to 7 hold prefixes, 2 and 3 the least recently used ones.
  RunAndFinish(&scheduler, 8, {2, 3, 0, 1, 4, 5, 6, 7});
  AddUnique(&scheduler, 10, 10);
  RunStep(&scheduler);
  // Continues what id 7 holds.
  scheduler.Add(11, Joined(Range(700'000, 10), {-1, -2, -3}), "");
  const StepPlan plan = RunStep(&scheduler);
  CHECK(AreAdjacent(plan));
  REQUIRE(WorkOf(plan, 11) != nullptr);
  CHECK(WorkOf(plan, 11)->first == 10);
  CHECK(scheduler.n_moved() == 1);
}

TEST_CASE("sequences that arrive together get their ids in order") {
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

TEST_CASE("no sequence moves where a gap costs less than moves") {
  SchedulerLimits limits = SplitLimits(8);
  limits.max_compaction_moves = 1;
  Scheduler scheduler(limits);
  RunAndFinish(&scheduler, 8, {2, 3, 6, 7});
  for (int step = 0; step < 20; ++step) RunStep(&scheduler);
  CHECK(scheduler.n_moved() == 0);
}
