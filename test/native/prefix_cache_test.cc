#include "schedule/prefix_cache.h"

#include <doctest.h>

#include <numeric>

#include "reference_memory.h"

namespace {

using Tokens = std::vector<Token>;

Tokens Range(Token first, int32_t n) {
  Tokens tokens(n);
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

Tokens Joined(Tokens tokens, const Tokens& tail) {
  tokens.insert(tokens.end(), tail.begin(), tail.end());
  return tokens;
}

// Runs one sequence to its end: finds, opens, computes the rest and keeps it. Returns how many
// tokens it found.
int32_t RunOnce(PrefixCache* cache, const Tokens& prompt, const Tokens& completion = {},
                const std::string& scope = "") {
  const PrefixMatch match = cache->Find(prompt, scope);
  const CacheId id = cache->Open(scope, static_cast<int32_t>(prompt.size()), match);
  const int32_t n_found = cache->n_cached(id);
  const Tokens all = Joined(prompt, completion);
  const auto n_missing = static_cast<int32_t>(all.size()) - n_found;
  while (cache->n_used() + n_missing > cache->limits().n_cells) REQUIRE(cache->EvictOne());
  cache->Extend(id, std::span(all).subspan(n_found));
  cache->Keep(id);
  cache->CheckIntegrity();
  return n_found;
}

}  // namespace

TEST_CASE("a common prefix ends at the first difference, wherever blocks end") {
  const Tokens a = Range(0, 1000);
  for (const int32_t n : {0, 1, 255, 256, 257, 511, 512, 999, 1000}) {
    Tokens b = a;
    if (n < 1000) b[n] = -1;
    CHECK(CommonPrefix(a, b) == n);
    CHECK(CommonPrefix(std::span(a).first(n), a) == n);
  }
}

TEST_CASE("a prompt finds the longest prefix of any finished or running sequence, but never all") {
  PrefixCache cache({.n_ids = 8, .n_cells = 1000});
  CHECK(RunOnce(&cache, Range(0, 50)) == 0);
  CHECK(RunOnce(&cache, Joined(Range(0, 30), Range(500, 20))) == 30);
  CHECK(cache.Find(Range(0, 50), "").n_tokens == 49);
  CHECK(cache.Find(Range(0, 60), "").n_tokens == 50);
  CHECK(cache.Find(Joined(Range(0, 30), Range(500, 40)), "").n_tokens == 50);

  const CacheId running = cache.Open("", 80, {});
  cache.Extend(running, Range(0, 70));
  CHECK(cache.Find(Range(0, 80), "").n_tokens == 70);
  CHECK(cache.Find(Range(7, 20), "").id == -1);
}

TEST_CASE("shared cells count once") {
  PrefixCache cache({.n_ids = 8, .n_cells = 1000});
  RunOnce(&cache, Range(0, 100));
  CHECK(cache.n_used() == 100);
  RunOnce(&cache, Joined(Range(0, 90), Range(500, 20)));
  CHECK(cache.n_used() == 120);
  RunOnce(&cache, Joined(Range(0, 90), Range(700, 20)));
  CHECK(cache.n_used() == 140);
  CHECK(cache.n_open_cells() == 0);
}

TEST_CASE("scopes do not see each other") {
  PrefixCache cache({.n_ids = 8, .n_cells = 1000});
  RunOnce(&cache, Range(0, 100), {}, "alice");
  CHECK(RunOnce(&cache, Range(0, 100), {}, "bob") == 0);
  CHECK(RunOnce(&cache, Range(0, 100), {}, "") == 0);
  CHECK(RunOnce(&cache, Range(0, 100), {}, "alice") == 99);
  CHECK(cache.n_used() == 300);
}

TEST_CASE("the next turn of a conversation replaces the last") {
  PrefixCache cache({.n_ids = 8, .n_cells = 1000});
  Tokens chat = Range(0, 40);
  for (Token turn = 1; turn <= 9; ++turn) {
    const Tokens answer = Range(1000 * turn, 10);
    CHECK(RunOnce(&cache, chat, answer) == (turn == 1 ? 0 : static_cast<int32_t>(chat.size()) - 5));
    chat = Joined(Joined(chat, answer), Range(1000 * turn + 500, 5));
    CHECK(cache.n_prefixes() == 1);
  }
}

TEST_CASE("calls that are never continued do not evict a conversation") {
  PrefixCache cache({.n_ids = 64, .n_cells = 1000});
  const Tokens first_turn = Range(0, 300);
  const Tokens second_turn = Range(0, 400);
  RunOnce(&cache, first_turn);
  RunOnce(&cache, second_turn);
  for (Token call = 1; call <= 100; ++call) RunOnce(&cache, Range(10'000 * call, 60));
  CHECK(cache.Find(Range(0, 500), "").n_tokens == 400);
  CHECK(cache.n_used() <= 1000);
}

TEST_CASE("conversations keep three quarters of the cache at most") {
  PrefixCache cache({.n_ids = 64, .n_cells = 1000});
  for (Token chat = 1; chat <= 4; ++chat) {
    RunOnce(&cache, Range(10'000 * chat, 200));
    RunOnce(&cache, Range(10'000 * chat, 240));
  }
  RunOnce(&cache, Range(90'000, 200));
  CHECK(cache.Find(Range(90'000, 201), "").n_tokens == 200);
  CHECK(cache.Find(Range(10'000, 300), "").n_tokens == 0);
  CHECK(cache.Find(Range(40'000, 300), "").n_tokens == 240);
}

TEST_CASE("no more is kept than the limit, and conversations get most of that") {
  PrefixCache cache({.n_ids = 64, .n_cells = 1000, .max_cached_cells = 400});
  RunOnce(&cache, Range(0, 150));
  RunOnce(&cache, Range(0, 250));
  for (Token call = 1; call <= 20; ++call) {
    RunOnce(&cache, Range(10'000 * call, 60));
    CHECK(cache.n_used() <= 400);
  }
  CHECK(cache.Find(Range(0, 300), "").n_tokens == 250);
  CHECK(cache.Find(Range(200'000, 100), "").n_tokens == 60);
}

TEST_CASE("what running sequences use is not dropped in vain") {
  PrefixCache cache({.n_ids = 8, .n_cells = 1000});
  RunOnce(&cache, Range(0, 100));
  const Tokens prompt = Range(0, 120);
  const CacheId id = cache.Open("", 120, cache.Find(prompt, ""));
  CHECK(cache.n_cached(id) == 100);
  CHECK(cache.n_open_cells() == 100);
  CHECK_FALSE(cache.EvictOne());
  cache.Clear(id);
  CHECK(cache.EvictOne());
  CHECK(cache.n_used() == 0);
}

TEST_CASE(
    "in a split cache an idle id is continued in place, and copied when others still need it") {
  PrefixCache cache({.n_ids = 3, .n_cells = 3000, .shares_cells = false, .min_copy_tokens = 64});
  RunOnce(&cache, Range(0, 200));
  cache.TakeEdits();
  CHECK(RunOnce(&cache, Range(0, 260)) == 200);
  CHECK(cache.TakeEdits().empty());
  CHECK(cache.n_prefixes() == 1);

  CHECK(RunOnce(&cache, Joined(Range(0, 100), Range(500, 50))) == 100);
  const auto edits = cache.TakeEdits();
  REQUIRE(edits.size() == 1);
  CHECK(edits[0].kind == CacheEdit::Kind::kCopy);
  CHECK(edits[0].n_tokens == 100);
  CHECK(cache.n_used() == 410);

  CHECK(RunOnce(&cache, Joined(Range(0, 20), Range(700, 50))) == 0);
}

TEST_CASE("a memory that cannot be cut serves whole prefixes, and checkpoints of prompts") {
  PrefixCache cache({.n_ids = 6, .n_cells = 1000, .cuts = false});
  const Tokens prompt = Range(0, 50);
  const CacheId id = cache.Open("", 50, {});
  cache.Extend(id, std::span(prompt).first(46));
  cache.Checkpoint(id);
  cache.Extend(id, std::span(prompt).subspan(46));
  cache.Extend(id, Range(900, 10));
  cache.Keep(id);
  CHECK(cache.n_prefixes() == 2);
  CHECK(cache.Find(Range(0, 40), "").n_tokens == 0);
  CHECK(cache.Find(Joined(prompt, Range(800, 5)), "").n_tokens == 46);
  CHECK(cache.Find(Joined(Joined(prompt, Range(900, 10)), Range(60, 5)), "").n_tokens == 60);
  cache.CheckIntegrity();
}

TEST_CASE("a window that has moved on is not used") {
  PrefixCache cache({.n_ids = 4, .n_cells = 1000, .can_cut = [](CacheId, int32_t n_tokens) {
                       return n_tokens >= 80;
                     }});
  RunOnce(&cache, Range(0, 100));
  CHECK(cache.Find(Joined(Range(0, 60), Range(500, 10)), "").id == -1);
  CHECK(cache.Find(Joined(Range(0, 90), Range(500, 10)), "").n_tokens == 90);
  CHECK(cache.Find(Range(0, 200), "").n_tokens == 100);
}

TEST_CASE("the books hold what the edits make of the memory") {
  const CacheLimits limits{.n_ids = 4, .n_cells = 500};
  PrefixCache cache(limits);
  ReferenceMemory memory(limits);
  const Tokens a = Range(0, 100);
  const CacheId first = cache.Open("", 100, {});
  cache.Extend(first, a);
  memory.Compute(first, a, "");
  const CacheId second = cache.Open("", 100, cache.Find(Joined(Range(0, 70), Range(500, 30)), ""));
  memory.Apply(cache.TakeEdits());
  memory.RequireHolds(second, std::span(a).first(70), "");
  CHECK(memory.n_cells() == cache.n_used());
  cache.Clear(first);
  memory.Apply(cache.TakeEdits());
  CHECK(memory.n_cells() == 70);
  CHECK(cache.n_used() == 70);
}
