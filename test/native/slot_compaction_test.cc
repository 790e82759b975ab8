#include "schedule/slot_compaction.h"

#include <doctest.h>

#include <random>
#include <string>
#include <utility>
#include <vector>

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
