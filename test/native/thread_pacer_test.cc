#include "schedule/thread_pacer.h"

#include <doctest.h>

#include <random>

namespace {

// Two cores. While other processes want both, a thread loses its core now and then, and a step on
// two threads waits for it.
class Machine {
 public:
  bool is_busy = false;

  double StepMs(int32_t n_threads) {
    const double noise = std::uniform_real_distribution<double>(0.95, 1.1)(random_);
    if (!is_busy) return noise * 36 / n_threads;
    if (n_threads == 1) return noise * (random_() % 3 == 0 ? 60 : 40);
    return noise * (random_() % 2 == 0 ? 20 : 250);
  }

 private:
  std::mt19937 random_{1};
};

// Milliseconds that `n_steps` take.
double Run(int n_steps, Machine* machine, ThreadPacer* pacer) {
  double total_ms = 0;
  for (int i = 0; i < n_steps; ++i) {
    const double ms = machine->StepMs(pacer->n_threads());
    total_ms += ms;
    pacer->Observe(4, ms);
  }
  return total_ms;
}

}  // namespace

TEST_CASE("on cores of its own an engine uses all threads, and tries nothing else") {
  Machine machine;
  ThreadPacer pacer(2);
  for (int i = 0; i < 5000; ++i) {
    CHECK(pacer.n_threads() == 2);
    pacer.Observe(4, machine.StepMs(2));
  }
}

TEST_CASE("on cores that others want, fewer threads are found to be faster") {
  Machine machine;
  ThreadPacer pacer(2);
  Run(200, &machine, &pacer);
  machine.is_busy = true;
  Run(300, &machine, &pacer);
  CHECK(pacer.n_chosen() == 1);
  // Trials of more threads cost little.
  const double ms = Run(2000, &machine, &pacer);
  CHECK(pacer.n_chosen() == 1);
  CHECK(ms / 2000 < 55);
}

TEST_CASE("a server that starts on a busy machine finds it out, too") {
  Machine machine;
  machine.is_busy = true;
  ThreadPacer pacer(2);
  Run(300, &machine, &pacer);
  CHECK(pacer.n_chosen() == 1);
}

TEST_CASE("threads come back when the others have gone") {
  Machine machine;
  machine.is_busy = true;
  ThreadPacer pacer(2);
  Run(3000, &machine, &pacer);
  machine.is_busy = false;
  Run(6000, &machine, &pacer);
  CHECK(pacer.n_chosen() == 2);
}

TEST_CASE("steps of more sequences are not slow because they take longer") {
  ThreadPacer pacer(8);
  for (int i = 0; i < 2000; ++i) {
    CHECK(pacer.n_threads() == 8);
    const int32_t n_decoding = 1 + i / 50 % 8;
    pacer.Observe(n_decoding, 10.0 * n_decoding);
  }
}

TEST_CASE("one thread is never less") {
  ThreadPacer pacer(1);
  for (int i = 0; i < 100; ++i) {
    pacer.Observe(1, i % 2 == 0 ? 1 : 100);
    CHECK(pacer.n_threads() == 1);
  }
}
