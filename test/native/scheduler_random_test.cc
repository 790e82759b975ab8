// Random traffic through the scheduler, step by step against a memory that does what the edits say
// and sequences that know what they must find there.
#include <doctest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <random>
#include <set>

#include "reference_memory.h"
#include "schedule/scheduler.h"

namespace {

// The number of random steps; the long run sets it higher.
int RandomSteps() {
  const char* steps = std::getenv("NATIVE_TEST_STEPS");
  return steps == nullptr ? 5000 : std::atoi(steps);
}

unsigned RandomSeed() {
  const char* seed = std::getenv("NATIVE_TEST_SEED");
  return seed == nullptr ? 1 : static_cast<unsigned>(std::atoi(seed));
}

// From so many on, everything happens.
constexpr int kMinStepsOfAll = 10'000;

class RandomTraffic {
 public:
  // The openings that prompts have in common are shorter than `n_opening`.
  RandomTraffic(SchedulerLimits limits, unsigned seed, int n_opening = 120)
      : limits_(limits),
        n_opening_(n_opening),
        scheduler_(limits),
        memory_(limits.cache),
        random_(seed) {}

  void Run(int n_steps) {
    for (int step = 0; step < n_steps; ++step) {
      ChangeSomething();
      Step();
      scheduler_.CheckIntegrity();
      for (auto& [id, sequence] : known_) {
        if (!sequence.paused) REQUIRE(++sequence.n_steps_alive < 8000);
      }
    }
    REQUIRE(n_finished_ > n_steps / 200);
    REQUIRE((n_in_background_ > 0) == (limits_.max_background_tokens > 0));
    REQUIRE((n_side_by_side_ > 0) == (limits_.max_background_sequences > 1));
    REQUIRE(n_found_ > 0);
    REQUIRE((n_restored_ > 0) == (limits_.cache.max_stored_tokens > 0));
    // A sequence arrives every third step.
    REQUIRE(scheduler_.n_moved() < static_cast<uint64_t>(n_steps) / 2);
    // What happens only while no prompt waits: a short run may not come by it.
    if (n_steps < kMinStepsOfAll) return;
    REQUIRE((scheduler_.n_moved() > 0) == (limits_.max_compaction_moves > 0));
    if (limits_.n_drafted > 0) REQUIRE((n_accepted_ > 0) == limits_.cache.cuts);
  }

 private:
  struct Known {
    std::vector<Token> tokens;
    std::string scope;
    size_t n_limit = 0;
    bool paused = false;
    // Prompt tokens whose logits were seen, each in its turn; all of them where none are wanted.
    int32_t n_prompt_logprobs = 0;
    int32_t n_prompt = 0;
    int n_steps_alive = 0;
  };

  int Below(int n) { return static_cast<int>(random_() % static_cast<unsigned>(n)); }
  auto Pick() { return std::next(known_.begin(), Below(static_cast<int>(known_.size()))); }

  void ChangeSomething() {
    if (known_.size() < 14 && Below(3) == 0) Add();
    if (!known_.empty() && Below(40) == 0) {
      const auto cancelled = Pick();
      if (Below(4) == 0) {
        scheduler_.Drop(cancelled->first);
      } else {
        scheduler_.Finish(cancelled->first);
      }
      known_.erase(cancelled);
    }
    if (!known_.empty() && Below(10) == 0) {
      const auto changed = Pick();
      changed->second.paused = Below(3) == 0;
      scheduler_.SetPaused(changed->first, changed->second.paused);
    }
    if (Below(200) == 0) scheduler_.MakeRoom({});
  }

  // Prompts that begin like others: of a few openings, or a past conversation with more behind it.
  void Add() {
    Known sequence;
    sequence.scope = Below(4) == 0 ? "other" : "";
    const bool continues = !past_.empty() && Below(2) == 0;
    if (continues) {
      const Known& past = past_[Below(static_cast<int>(past_.size()))];
      sequence.tokens = past.tokens;
      sequence.scope = past.scope;
      if (Below(4) == 0) sequence.tokens.resize(1 + Below(static_cast<int>(past.tokens.size())));
    } else {
      const int opening = Below(3);
      const int n = Below(n_opening_);
      for (int i = 0; i < n; ++i) sequence.tokens.push_back(1000 * opening + i);
    }
    const int n_own = 1 + Below(60);
    for (int i = 0; i < n_own; ++i) sequence.tokens.push_back(NewToken());
    const auto n_max =
        static_cast<size_t>(limits_.cache.shares_cells ? limits_.cache.n_cells
                                                       : limits_.cache.n_cells / limits_.n_slots);
    if (sequence.tokens.size() > n_max) return;
    // One token can follow even a prompt that fills the memory.
    const size_t n_min = sequence.tokens.size() + 1;
    sequence.n_limit = std::max(n_min, std::min(n_max, n_min + Below(50)));
    sequence.n_prompt = static_cast<int32_t>(sequence.tokens.size());
    const bool wants_prompt_logprobs = Below(8) == 0;
    if (!wants_prompt_logprobs) sequence.n_prompt_logprobs = sequence.n_prompt;
    scheduler_.Add(next_id_, sequence.tokens, sequence.scope, wants_prompt_logprobs);
    known_[next_id_++] = std::move(sequence);
  }

  Token NewToken() { return Below(50) == 0 ? Below(5) : next_token_++; }

  // Drafts for some of the calls, never beyond the limit of a sequence.
  void Draft() {
    for (const DraftCall& call : scheduler_.DraftCalls()) {
      const Known& sequence = known_.at(call.id);
      REQUIRE(std::ranges::equal(call.tokens, sequence.tokens));
      REQUIRE(*call.scope == sequence.scope);
      REQUIRE(call.max_tokens >= 1);
      const size_t n_left = sequence.n_limit - sequence.tokens.size();
      const size_t n = std::min<size_t>(call.max_tokens, n_left - 1);
      std::vector<Token> draft;
      for (size_t i = 0; i < n; ++i) draft.push_back(NewToken());
      if (Below(5) > 0) scheduler_.AddDraft(call.id, Below(20) > 0 ? draft : std::vector<Token>{});
    }
  }

  void Step() {
    if (Below(10) > 0) Draft();
    if (Below(20) == 0) ChangeSomething();
    const StepPlan plan = scheduler_.Plan();
    memory_.Apply(plan.edits);
    for (const CacheEdit& edit : plan.edits) {
      n_restored_ += edit.kind == CacheEdit::Kind::kRestore ? 1 : 0;
    }
    REQUIRE(memory_.n_cells() == scheduler_.cache().n_used());
    int32_t n_tokens = 0;
    int32_t n_rows = 0;
    std::set<SequenceId> worked;
    for (const StepWork& work : plan.work) {
      const Known& sequence = known_.at(work.id);
      REQUIRE(!sequence.paused);
      REQUIRE(worked.insert(work.id).second);
      REQUIRE(work.n_tokens > 0);
      const auto n_known = static_cast<int32_t>(sequence.tokens.size());
      REQUIRE(work.first + work.n_tokens <= n_known);
      REQUIRE(work.samples == (work.first + work.n_tokens == n_known));
      const std::span<const Token> tokens(sequence.tokens);
      memory_.RequireHolds(work.cache_id, tokens.first(work.first), sequence.scope);
      n_tokens += work.n_tokens + static_cast<int32_t>(work.draft.size());
      if (!work.draft.empty()) REQUIRE(work.samples);
      REQUIRE(work.with_logprobs == (sequence.n_prompt_logprobs < sequence.n_prompt));
      if (work.with_logprobs) {
        REQUIRE(work.first <= sequence.n_prompt_logprobs);
        if (work.n_tokens > 1) n_rows += work.n_tokens;
      }
    }
    REQUIRE(n_rows <= limits_.max_logprob_rows);
    REQUIRE(n_tokens <= limits_.n_batch);
    REQUIRE(plan.n_drafted() <= limits_.n_drafted);
    if (plan.n_drafted() > 0) REQUIRE(n_tokens <= limits_.n_ubatch);
    REQUIRE(static_cast<int32_t>(plan.work.size()) <= limits_.n_slots);
    if (plan.background) CheckBackground(*plan.background, worked);
    RequireProgress(plan);
    if (Below(100) == 0) return;  // The batch was not computed; the plan is forgotten.

    for (const StepWork& work : plan.work) {
      Known& sequence = known_.at(work.id);
      const std::span<const Token> tokens(sequence.tokens);
      sequence.n_prompt_logprobs = std::max(
          sequence.n_prompt_logprobs, std::min(work.first + work.n_tokens, sequence.n_prompt));
      memory_.Compute(work.cache_id, tokens.subspan(work.first, work.n_tokens), sequence.scope);
      memory_.Compute(work.cache_id, work.draft, sequence.scope);
      if (work.first > 0) ++n_found_;
    }
    scheduler_.Commit(plan);
    // Drafts cost little, so that they go on.
    if (!plan.work.empty()) {
      scheduler_.Measured(plan, 0.01 * Below(plan.n_drafted() > 0 ? 100 : 10'000));
    }
    for (const StepWork& work : plan.work) {
      if (work.samples) Grow(work);
    }
    if (plan.background) RunBackground(*plan.background);
  }

  void CheckBackground(const BackgroundWork& background, std::set<SequenceId> worked) {
    REQUIRE(background.ms > 0);
    REQUIRE(!background.shares.empty());
    REQUIRE(static_cast<int32_t>(background.shares.size()) <= limits_.max_background_sequences);
    const BackgroundShare& trunk = background.shares[0];
    const std::span<const Token> shared(known_.at(trunk.id).tokens);
    int32_t n_all = trunk.first;
    for (const BackgroundShare& share : background.shares) {
      const Known& sequence = known_.at(share.id);
      REQUIRE(!sequence.paused);
      REQUIRE(worked.insert(share.id).second);
      REQUIRE(share.n_tokens > 0);
      REQUIRE(share.first + share.n_tokens < static_cast<int32_t>(sequence.tokens.size()));
      const auto cached = std::span<const Token>(sequence.tokens).first(share.first);
      memory_.RequireHolds(share.cache_id, cached, sequence.scope);
      REQUIRE(share.first <= trunk.first);
      REQUIRE(std::ranges::equal(cached, shared.first(share.first)));
      n_all += share.n_tokens;
    }
    REQUIRE(n_all <= limits_.max_background_tokens);
    n_side_by_side_ += background.shares.size() > 1 ? 1 : 0;
  }

  // It takes some steps, may have got further than is asked for by now, and may fail.
  void RunBackground(const BackgroundWork& work) {
    if (Below(4) > 0) return;
    for (const BackgroundShare& share : work.shares) {
      if (Below(20) == 0) {
        const bool emptied = Below(2) == 0;
        if (emptied && share.first > 0) memory_.Apply({{CacheEdit::Kind::kClear, share.cache_id}});
        scheduler_.BackgroundFailed(share, emptied);
        continue;
      }
      const Known& sequence = known_.at(share.id);
      const std::span<const Token> tokens(sequence.tokens);
      const auto n_left = static_cast<int32_t>(tokens.size()) - 1 - share.first;
      const int32_t n = Below(10) == 0   ? n_left
                        : Below(10) == 0 ? 1 + Below(n_left)
                                         : share.n_tokens;
      memory_.Compute(share.cache_id, tokens.subspan(share.first, n), sequence.scope);
      scheduler_.CommitBackground(share, n);
      ++n_in_background_;
      // The others are committed in a later step.
      if (Below(5) == 0) return;
    }
  }

  // A sequence computes as long as one could.
  void RequireProgress(const StepPlan& plan) {
    const bool can = std::any_of(known_.begin(), known_.end(),
                                 [](const auto& item) { return !item.second.paused; });
    REQUIRE(plan.empty() == !can);
  }

  // The sampled tokens begin like the draft; a stop may end a sequence within it.
  void Grow(const StepWork& work) {
    Known& sequence = known_.at(work.id);
    const int n_right = Below(static_cast<int>(work.draft.size()) + 1);
    const bool stops = n_right > 0 && Below(10) == 0;
    std::vector<Token> tokens(work.draft.begin(), work.draft.begin() + n_right);
    if (!stops) tokens.push_back(work.draft.empty() ? NewToken() : next_token_++);
    sequence.tokens.insert(sequence.tokens.end(), tokens.begin(), tokens.end());
    REQUIRE(scheduler_.Append(work.id, tokens) == n_right);
    n_accepted_ += n_right;
    REQUIRE(sequence.tokens.size() <= sequence.n_limit);
    if (!stops && sequence.tokens.size() < sequence.n_limit) return;
    scheduler_.Finish(work.id);
    ++n_finished_;
    if (past_.size() > 20) past_.erase(past_.begin());
    past_.push_back(std::move(sequence));
    known_.erase(work.id);
  }

  SchedulerLimits limits_;
  int n_opening_;
  Scheduler scheduler_;
  ReferenceMemory memory_;
  std::mt19937 random_;
  std::map<SequenceId, Known> known_;
  // Finished conversations.
  std::vector<Known> past_;
  SequenceId next_id_ = 1;
  Token next_token_ = 10'000;
  int n_finished_ = 0;
  int n_found_ = 0;
  int n_restored_ = 0;
  int n_accepted_ = 0;
  int n_in_background_ = 0;
  int n_side_by_side_ = 0;
};

SchedulerLimits Limits() {
  return {.n_slots = 6,
          .n_batch = 128,
          .n_ubatch = 32,
          .step_target_ms = 50,
          .max_logprob_rows = 9,
          .n_drafted = 12,
          .min_draft_tokens = 1,
          .max_draft_tokens = 5,
          .cache = {.n_ids = 16, .n_cells = 400}};
}

}  // namespace

TEST_CASE("random traffic on a unified cache: books and memory agree, and no sequence starves") {
  CAPTURE(RandomSeed());
  RandomTraffic(Limits(), RandomSeed()).Run(RandomSteps());
}

TEST_CASE("random traffic on a split cache") {
  SchedulerLimits limits = Limits();
  limits.cache = {.n_ids = 6, .n_cells = 6 * 300, .shares_cells = false, .min_copy_tokens = 32};
  CAPTURE(RandomSeed());
  RandomTraffic(limits, RandomSeed()).Run(RandomSteps() / 2);
}

TEST_CASE("random traffic on a split cache whose sequences move together") {
  SchedulerLimits limits = Limits();
  limits.n_slots = 12;
  limits.max_compaction_moves = 3;
  limits.cache = {.n_ids = 12, .n_cells = 12 * 300, .shares_cells = false, .min_copy_tokens = 32};
  CAPTURE(RandomSeed());
  for (const int32_t max_swap_tokens : {0, 100}) {
    limits.cache.max_swap_tokens = max_swap_tokens;
    limits.cache.drops_to_move = max_swap_tokens == 0;
    RandomTraffic(limits, RandomSeed()).Run(RandomSteps() / 2);
  }
}

TEST_CASE("random traffic on a split cache whose evicted prefixes are stored") {
  SchedulerLimits limits = Limits();
  limits.n_slots = 12;
  limits.max_compaction_moves = 6;
  limits.cache = {.n_ids = 12,
                  .n_cells = 12 * 300,
                  .shares_cells = false,
                  .min_copy_tokens = 32,
                  .max_stored_tokens = 600,
                  .max_swap_tokens = 300};
  CAPTURE(RandomSeed());
  RandomTraffic(limits, RandomSeed()).Run(RandomSteps() / 2);
}

TEST_CASE("random traffic on a unified cache whose evicted prefixes are stored") {
  SchedulerLimits limits = Limits();
  limits.cache.max_stored_tokens = 600;
  CAPTURE(RandomSeed());
  RandomTraffic(limits, RandomSeed()).Run(RandomSteps() / 2);
}

TEST_CASE("random traffic with a background prefill") {
  SchedulerLimits limits = Limits();
  limits.max_background_tokens = 250;
  limits.max_compaction_moves = 6;
  limits.cache = {.n_ids = 6,
                  .n_cells = 6 * 300,
                  .shares_cells = false,
                  .min_copy_tokens = 32,
                  .max_swap_tokens = 300};
  CAPTURE(RandomSeed());
  RandomTraffic(limits, RandomSeed()).Run(RandomSteps());
}

TEST_CASE("random traffic with a background prefill for several") {
  SchedulerLimits limits = Limits();
  limits.n_slots = limits.cache.n_ids = 12;
  limits.max_background_tokens = 700;
  limits.max_background_sequences = 6;
  limits.cache = {.n_ids = 12,
                  .n_cells = 12 * 600,
                  .shares_cells = false,
                  .min_copy_tokens = 32,
                  .max_swap_tokens = 300};
  CAPTURE(RandomSeed());
  RandomTraffic(limits, RandomSeed(), /*n_opening=*/400).Run(RandomSteps());
}

TEST_CASE("random traffic on a memory that cannot be cut") {
  SchedulerLimits limits = Limits();
  limits.cache.cuts = false;
  limits.cache.max_cached_cells = 200;
  CAPTURE(RandomSeed());
  RandomTraffic(limits, RandomSeed()).Run(RandomSteps() / 2);
}

TEST_CASE("random traffic on a memory that can neither be cut nor copied") {
  SchedulerLimits limits = Limits();
  limits.cache.cuts = limits.cache.copies = false;
  limits.cache.n_ids = limits.n_slots;
  CAPTURE(RandomSeed());
  RandomTraffic(limits, RandomSeed()).Run(RandomSteps() / 4);
}
