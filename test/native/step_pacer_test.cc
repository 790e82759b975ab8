#include "schedule/step_pacer.h"

#include <doctest.h>

namespace {

// A machine on which a step costs so much for decoding and so much for each prompt token.
double Cost(int32_t n_decoding, int32_t n_prefill) {
  return (n_decoding > 0 ? 10.0 + 2.0 * n_decoding : 0.0) + 0.5 * n_prefill;
}

}  // namespace

TEST_CASE("the chunk fills the target once both costs are known") {
  StepPacer pacer(50);
  pacer.Observe(0, 512, Cost(0, 512));
  for (int i = 0; i < 4; ++i) pacer.Observe(2, 0, Cost(2, 0));
  const int32_t chunk = pacer.Chunk(2, 1);
  CHECK(Cost(2, chunk) <= 50.0);
  CHECK(Cost(2, chunk + 1) > 50.0);
}

TEST_CASE("a prompt gets twice what the decodes take, also beyond the target") {
  StepPacer pacer(50);
  pacer.Observe(0, 100, 100.0);
  pacer.Observe(1, 0, 20.0);
  pacer.Observe(2, 0, 40.0);
  CHECK(pacer.Chunk(1, 1) == 40);
  CHECK(pacer.Chunk(2, 1) == 80);
}

TEST_CASE("pieces are not so small that their tokens cost much more") {
  const auto token_ms = [](int32_t n) { return n < 16 ? 3.0 : n < 32 ? 1.5 : 1.0; };
  StepPacer pacer(20);
  pacer.Observe(0, 512, 512);
  pacer.Observe(4, 0, 10);
  for (int i = 0; i < 30; ++i) {
    const int32_t chunk = pacer.Chunk(4, 1);
    pacer.Observe(4, chunk, 10 + chunk * token_ms(chunk));
  }
  // The target leaves time for 3, for 13, or for 20 tokens.
  CHECK(pacer.Chunk(4, 1) == 32);
}

TEST_CASE("prompts share what they get of a step") {
  StepPacer pacer(50);
  pacer.Observe(4, 0, 20);
  pacer.Observe(4, 10, 30);
  CHECK(pacer.PromptMs(0) == doctest::Approx(50));
  CHECK(pacer.PromptMs(4) == doctest::Approx(40));
  CHECK(pacer.Chunk(4, 1) == 40);
  CHECK(pacer.Chunk(4, 1, 0.5) == 20);
}

TEST_CASE("before anything was measured a prompt still gets on, in small steps") {
  StepPacer pacer(50);
  CHECK(pacer.Chunk(4, 1) > 0);
  CHECK(pacer.Chunk(4, 1) <= 16);
}

TEST_CASE("a prompt gets on even when decoding alone takes longer than the target") {
  StepPacer pacer(20);
  pacer.Observe(0, 100, 200.0);
  pacer.Observe(8, 0, 30.0);
  CHECK(pacer.Chunk(8, 1) == 30);
}

TEST_CASE("prompt tokens that are cheap beside decodes are found out") {
  StepPacer pacer(50);
  pacer.Observe(0, 512, 512 * 2.0);
  pacer.Observe(4, 0, 24.0);
  // In a mixed step decodes cost no more than other tokens: 8 ms for four, 2 ms for each of the
  // rest. Of the 48 ms that a prompt may take beside decodes of 24, that leaves 64 for its tokens.
  for (int i = 0; i < 30; ++i) {
    const int32_t chunk = pacer.Chunk(4, 1);
    pacer.Observe(4, chunk, 8.0 + 2.0 * chunk);
  }
  CHECK(pacer.Chunk(4, 1) >= 30);
  CHECK(pacer.Chunk(4, 1) <= 33);
}

TEST_CASE("one delayed step changes little, a slower machine is believed") {
  StepPacer pacer(50);
  for (int i = 0; i < 10; ++i) {
    pacer.Observe(0, 100, 50.0);
    pacer.Observe(2, 0, 14.0);
  }
  const int32_t before = pacer.Chunk(2, 1);
  pacer.Observe(2, before, 5000.0);
  CHECK(pacer.Chunk(2, 1) * 3 > before * 2);
  for (int i = 0; i < 40; ++i) {
    const int32_t chunk = pacer.Chunk(2, 1);
    pacer.Observe(2, chunk, 14.0 + chunk * 2.0);
  }
  CHECK(pacer.Chunk(2, 1) >= 17);
  CHECK(pacer.Chunk(2, 1) <= 19);
}

TEST_CASE("a number of decodes not seen yet is estimated from the nearest ones") {
  StepPacer pacer(50);
  pacer.Observe(0, 100, 100.0);
  pacer.Observe(4, 0, 20.0);
  CHECK(pacer.Chunk(2, 1) == 40);
  CHECK(pacer.Chunk(8, 1) == 80);
}

TEST_CASE("pieces of long prompts grow with the square root of what is missing") {
  StepPacer pacer(50);
  pacer.Observe(0, 512, 512);
  pacer.Observe(2, 0, 10);
  CHECK(pacer.Chunk(2, 30) == 40);
  CHECK(pacer.Chunk(2, 40) == 40);
  CHECK(pacer.Chunk(2, 160) == 80);
  CHECK(pacer.Chunk(2, 4000) == 400);
  CHECK(pacer.Chunk(2, 4000, 0.5) == 200);
}

TEST_CASE(
    "a step in which nothing decodes is bounded, too, but small pieces are not worth much there") {
  StepPacer pacer(50);
  CHECK(pacer.ChunkAlone() > 100'000);
  pacer.Observe(0, 512, 512);
  CHECK(pacer.ChunkAlone() == 200);
  // Pieces below 256 cost a fifth more.
  for (int32_t n = 128; n >= 8; n /= 2) pacer.Observe(0, n, 1.2 * n);
  CHECK(pacer.ChunkAlone() == 256);
}

TEST_CASE("less than half of the steps have prompts while prompts keep coming") {
  StepPacer pacer(50);
  int n_with_prompts = 0;
  for (int step = 0; step < 400; ++step) {
    const bool has_prompts = !pacer.LeavesPromptsOut();
    pacer.Planned(has_prompts);
    if (step >= 100) n_with_prompts += has_prompts;
  }
  CHECK(n_with_prompts > 120);
  CHECK(n_with_prompts < 150);
}

TEST_CASE("prompts that come and go are never left out") {
  StepPacer pacer(50);
  for (int round = 0; round < 50; ++round) {
    for (int step = 0; step < 12; ++step) {
      CHECK(!pacer.LeavesPromptsOut());
      pacer.Planned(step < 3);
    }
  }
}
