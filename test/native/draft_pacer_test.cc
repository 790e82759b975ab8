#include "schedule/draft_pacer.h"

#include <doctest.h>

#include <algorithm>
#include <random>

namespace {

constexpr double kPlainMs = 20;

// A sequence of `n_steps` steps on a machine where a step takes kPlainMs, a draft token so much
// more, and is right with a fixed chance.
struct Course {
  int32_t n_drafted = 0;
  int32_t n_tokens = 0;
  double ms = 0;

  double tokens_per_ms() const { return n_tokens / ms; }
};

Course Run(DraftPacer* pacer, double token_ms, double chance, int32_t n_steps,
           int32_t n_decoding = 1) {
  std::mt19937 random(1);
  std::bernoulli_distribution right(chance);
  DraftRecord record = pacer->NewRecord();
  Course course;
  for (int32_t i = 0; i < n_steps; ++i) {
    const int32_t n = pacer->Length(&record, n_decoding, kPlainMs);
    int32_t n_accepted = 0;
    while (n_accepted < n && right(random)) ++n_accepted;
    const double ms = kPlainMs + n * token_ms;
    if (n > 0) {
      pacer->ObserveStep(n, ms, kPlainMs);
      pacer->ObserveOutcome(n, n_accepted, &record);
    }
    course.n_drafted += n;
    course.n_tokens += 1 + n_accepted;
    course.ms += ms;
  }
  return course;
}

constexpr double kPlainTokensPerMs = 1 / kPlainMs;

}  // namespace

TEST_CASE("drafts that are always accepted grow to the limit") {
  DraftPacer pacer(1, 8);
  const Course course = Run(&pacer, 1.0, 1.0, 100);
  CHECK(course.n_drafted > 7 * 95);
  CHECK(course.tokens_per_ms() > 5 * kPlainTokensPerMs);
}

TEST_CASE("drafts that are never accepted cost almost nothing in the long run") {
  DraftPacer pacer(1, 8);
  CHECK(Run(&pacer, 10.0, 0.0, 2000).tokens_per_ms() > 0.98 * kPlainTokensPerMs);
  // Nor for the sequences that come after.
  for (int i = 0; i < 20; ++i) CHECK(Run(&pacer, 10.0, 0.0, 100).n_drafted <= 4);
}

TEST_CASE("tokens that cost as much as a step of their own are not drafted") {
  DraftPacer pacer(1, 8);
  const Course course = Run(&pacer, kPlainMs, 0.9, 2000);
  CHECK(course.tokens_per_ms() > 0.98 * kPlainTokensPerMs);
  CHECK(course.n_drafted < 200);
}

TEST_CASE("drafting never slows a sequence down, whatever it costs and is worth") {
  for (const double token_ms : {0.5, 2.0, 5.0, 10.0, 15.0}) {
    for (const double chance : {0.1, 0.3, 0.5, 0.7, 0.9}) {
      CAPTURE(token_ms);
      CAPTURE(chance);
      DraftPacer pacer(1, 8);
      CHECK(Run(&pacer, token_ms, chance, 2000).tokens_per_ms() > 0.95 * kPlainTokensPerMs);
    }
  }
}

TEST_CASE("many sequences are worth less drafting than one") {
  DraftPacer alone(1, 8);
  DraftPacer beside(1, 8);
  CHECK(Run(&alone, 1.5, 0.7, 500, 1).n_drafted > 3 * Run(&beside, 1.5, 0.7, 500, 8).n_drafted);
}

TEST_CASE("a text that becomes predictable is found out") {
  DraftPacer pacer(1, 8);
  DraftRecord record = pacer.NewRecord();
  for (int i = 0; i < 300; ++i) {
    const int32_t n = pacer.Length(&record, 1, kPlainMs);
    if (n == 0) continue;
    pacer.ObserveStep(n, kPlainMs + n, kPlainMs);
    pacer.ObserveOutcome(n, 0, &record);
  }
  int n_steps = 0;
  int n_full = 0;
  while (n_full < 5 && ++n_steps < 1000) {
    const int32_t n = pacer.Length(&record, 1, kPlainMs);
    if (n == 0) continue;
    pacer.ObserveOutcome(n, n, &record);
    if (n == 8) ++n_full;
  }
  CHECK(n_steps < 300);
}

TEST_CASE("the cost of drafting counts, also where it finds nothing") {
  DraftPacer pacer(1, 8);
  DraftRecord record = pacer.NewRecord();
  CHECK(pacer.Length(&record, 1, kPlainMs) == 8);
  for (int i = 0; i < 10; ++i) pacer.ObserveDrafting(0, 5.0);
  CHECK(pacer.Length(&record, 1, kPlainMs) == 0);
}

TEST_CASE("what comes to nothing is tried less and less") {
  DraftPacer pacer(1, 8);
  DraftRecord record = pacer.NewRecord();
  pacer.ObserveDrafting(0, 5.0);
  int32_t n_tried = 0;
  for (int i = 0; i < 2000; ++i) {
    if (pacer.Length(&record, 1, kPlainMs) == 0) continue;
    ++n_tried;
    pacer.ObserveDrafting(0, 5.0);
    pacer.ObserveNothing(&record);
  }
  CHECK(n_tried > 5);
  CHECK(n_tried < 20);
}

TEST_CASE("there is no draft before a plain step was measured, nor one below the minimum") {
  DraftPacer pacer(4, 8);
  DraftRecord record = pacer.NewRecord();
  CHECK(pacer.Length(&record, 1, 0) == 0);
  record.acceptance = 0.3;
  for (int i = 0; i < 40; ++i) pacer.ObserveStep(4, kPlainMs + 4 * 2.0, kPlainMs);
  // Pays for one token, of which there must be four; so there is only the trial, of four.
  int32_t n = 0;
  for (int i = 0; i < 40 && n == 0; ++i) n = pacer.Length(&record, 1, kPlainMs);
  CHECK(n == 4);
  CHECK(record.on_trial());
  pacer.ObserveOutcome(4, 4, &record);
  CHECK(!record.on_trial());
}

TEST_CASE("one delayed step does not end drafting") {
  DraftPacer pacer(1, 8);
  DraftRecord record = pacer.NewRecord();
  record.acceptance = 0.9;
  for (int i = 0; i < 10; ++i) pacer.ObserveStep(8, kPlainMs + 8, kPlainMs);
  pacer.ObserveStep(8, 5000, kPlainMs);
  CHECK(pacer.Length(&record, 1, kPlainMs) >= 4);
}
