#include "schedule/stored_prefixes.h"

#include <doctest.h>

#include "reference_memory.h"
#include "schedule/prefix_cache.h"
#include "scheduler_fixture.h"

namespace {

using Tokens = std::vector<Token>;

// Two ids with cells of their own, and room for `max_stored_tokens` beside them.
CacheLimits TwoIds(int32_t max_stored_tokens) {
  return {.n_ids = 2,
          .n_cells = 2000,
          .shares_cells = false,
          .min_copy_tokens = 32,
          .max_stored_tokens = max_stored_tokens};
}

// A cache together with a memory that makes its edits.
class Served {
 public:
  explicit Served(const CacheLimits& limits) : cache(limits), memory_(limits) {}

  // Computes a prompt and its completion in an id of the cache, and ends. Returns how many tokens
  // were there already.
  int32_t Run(const Tokens& prompt, const Tokens& completion = {}, const std::string& scope = "") {
    const CacheId id =
        cache.Open(scope, static_cast<int32_t>(prompt.size()), cache.Find(prompt, scope));
    memory_.Apply(cache.TakeEdits());
    const int32_t n_found = cache.n_cached(id);
    const Tokens all = Joined(prompt, completion);
    memory_.RequireHolds(id, std::span(all).first(n_found), scope);
    const auto rest = std::span(all).subspan(n_found);
    memory_.Compute(id, rest, scope);
    cache.Extend(id, rest);
    cache.Keep(id);
    memory_.Apply(cache.TakeEdits());
    cache.CheckIntegrity();
    return n_found;
  }

  PrefixCache cache;

 private:
  ReferenceMemory memory_;
};

}  // namespace

TEST_CASE("a conversation that lost its id goes on from where it was") {
  Served served(TwoIds(1000));
  std::vector<Tokens> conversations;
  for (int i = 0; i < 4; ++i) {
    conversations.push_back(Joined(Range(1000 * i, 100), Range(1000 * i + 500, 20)));
    CHECK(served.Run(Range(1000 * i, 100), Range(1000 * i + 500, 20)) == 0);
  }
  CHECK(served.cache.stored().n_prefixes() == 2);
  for (int turn = 0; turn < 3; ++turn) {
    for (int i = 0; i < 4; ++i) {
      Tokens& known = conversations[i];
      const Tokens prompt = Joined(known, Range(1000 * i + 600 + 10 * turn, 10));
      CHECK(served.Run(prompt) == static_cast<int32_t>(known.size()));
      known = prompt;
    }
  }
  CHECK(served.cache.stored().n_tokens() <= 1000);
}

TEST_CASE("a conversation whose id is taken over for its beginning is stored before it is cut") {
  Served served(TwoIds(1000));
  const auto prompt = [](int i) { return Joined(Range(0, 60), Range(1000 + 1000 * i, 60)); };
  for (int i = 0; i < 4; ++i) served.Run(prompt(i));
  for (int i = 0; i < 4; ++i) CHECK(served.Run(prompt(i)) >= 119);
}

TEST_CASE("what is stored is found within its scope only") {
  Served served(TwoIds(1000));
  served.Run(Range(0, 100), {}, "a");
  served.Run(Range(1000, 100), {}, "b");
  served.Run(Range(2000, 100), {}, "b");
  REQUIRE(served.cache.stored().n_prefixes() == 1);
  CHECK(served.Run(Range(0, 110), {}, "b") == 0);
  CHECK(served.Run(Range(0, 110), {}, "a") == 100);
}

TEST_CASE("a stored prefix that is used in part stays, and one that is continued does not") {
  Served served(TwoIds(1000));
  served.Run(Range(0, 200));
  served.Run(Range(1000, 100));
  served.Run(Range(2000, 100));
  REQUIRE(served.cache.stored().n_prefixes() == 1);
  CHECK(served.Run(Joined(Range(0, 150), Range(5000, 50))) == 150);
  CHECK(served.cache.stored().n_prefixes() == 2);
  CHECK(served.Run(Joined(Range(0, 200), Range(6000, 50))) == 200);
}

TEST_CASE("nothing is stored beyond the limit, and single calls go before conversations") {
  StoredPrefixes stored(300);
  CHECK_FALSE(stored.Accepts(301));
  CHECK_FALSE(stored.Accepts(10));
  CHECK_FALSE(StoredPrefixes(0).Accepts(100));
  CHECK(stored.Add({.tokens = Range(0, 100), .n_turns = 1}).empty());
  CHECK(stored.Add({.tokens = Range(1000, 100)}).empty());
  CHECK(stored.Add({.tokens = Range(2000, 100)}).empty());
  CHECK(stored.n_tokens() == 300);
  // The older one of the single calls.
  CHECK(stored.Add({.tokens = Range(3000, 50)}) == std::vector<StoredId>{2});
  CHECK(stored.Find(Range(0, 120), "").n_tokens == 100);
  // Too large for anything beside it.
  CHECK(stored.Add({.tokens = Range(4000, 290)}).size() == 3);
  CHECK(stored.n_tokens() == 290);
}

TEST_CASE("a prefix that another one continues is not stored twice") {
  StoredPrefixes stored(1000);
  stored.Add({.tokens = Range(0, 100), .n_turns = 2});
  CHECK(stored.Add({.tokens = Range(0, 200)}) == std::vector<StoredId>{1});
  REQUIRE(stored.Get(2) != nullptr);
  CHECK(stored.Get(2)->n_turns == 2);
  CHECK(stored.n_tokens() == 200);
}

TEST_CASE("a stored prefix that is lost is forgotten, and its sequence computes everything") {
  SchedulerLimits limits = Limits(2, 2000);
  limits.cache = TwoIds(1000);
  Scheduler scheduler(limits);
  for (SequenceId id = 1; id <= 3; ++id) {
    AddUnique(&scheduler, id, 50);
    while (RunStep(&scheduler).work.front().samples == false) {
    }
    scheduler.Finish(id);
  }
  REQUIRE(scheduler.cache().stored().n_prefixes() == 1);
  scheduler.Add(4, Joined(Range(100'000, 50), Range(900'000, 10)), "");
  const StepPlan plan = scheduler.Plan();
  const auto restores = [](const CacheEdit& edit) {
    return edit.kind == CacheEdit::Kind::kRestore;
  };
  const auto edit = std::ranges::find_if(plan.edits, restores);
  REQUIRE(edit != plan.edits.end());
  scheduler.EditFailed(*edit);
  scheduler.CheckIntegrity();
  const StepPlan next = RunStep(&scheduler);
  CHECK(std::ranges::none_of(next.edits, restores));
  CHECK(WorkOf(next, 4)->first == 0);
  // Other prefixes can still be used in part.
  CHECK(scheduler.cache().limits().cuts);
}
