#include "core/sliced_thread.h"

#include <doctest.h>

#include <thread>
#include <vector>

using Clock = SlicedThread::Clock;

namespace {

constexpr Clock::duration kNone{};
constexpr std::chrono::seconds kLong{60};

}  // namespace

TEST_CASE("the work goes on only in its slices, and each sees what the other has done") {
  int n_done = 0;
  SlicedThread thread([&](SlicedThread* self) {
    for (int i = 0; i < 1000; ++i) {
      ++n_done;
      self->Pause();
    }
  });
  for (int i = 1; i <= 1000; ++i) {
    CHECK(n_done == i - 1);
    thread.RunUntil(Clock::now());
    CHECK(n_done == i);
    // No lock: the work must not run now.
    n_done += 1;
    n_done -= 1;
  }
}

TEST_CASE("a slice ends at the first place behind its time") {
  int n_passed = 0;
  bool stops = false;
  SlicedThread thread([&](SlicedThread* self) {
    while (!stops) {
      ++n_passed;
      self->PauseIfDue(kNone);
    }
  });
  thread.RunUntil(Clock::now());
  CHECK(n_passed == 1);
  const Clock::time_point begin = Clock::now();
  thread.RunUntil(begin + std::chrono::milliseconds(20));
  CHECK(Clock::now() - begin >= std::chrono::milliseconds(20));
  CHECK(n_passed > 2);
  stops = true;
}

TEST_CASE("a slice ends early where less is left than the work asks for") {
  SlicedThread thread([&](SlicedThread* self) {
    self->PauseIfDue(std::chrono::seconds(1));
    self->PauseIfDue(kLong);
  });
  const Clock::time_point begin = Clock::now();
  thread.RunUntil(begin + std::chrono::seconds(30));
  CHECK(Clock::now() - begin < std::chrono::seconds(20));
}

TEST_CASE("work that has returned is not waited for") {
  int n_runs = 0;
  SlicedThread thread([&](SlicedThread*) { ++n_runs; });
  for (int i = 0; i < 3; ++i) thread.RunUntil(Clock::now() + kLong);
  CHECK(n_runs == 1);
}

TEST_CASE("a thread that never worked, one that waits and one that is done can go") {
  for (int round = 0; round < 100; ++round) {
    bool stops = false;
    const SlicedThread idle([](SlicedThread*) {});
    SlicedThread waiting([&](SlicedThread* self) {
      while (!stops) self->Pause();
    });
    SlicedThread done([](SlicedThread*) {});
    waiting.RunUntil(Clock::now());
    done.RunUntil(Clock::now() + kLong);
    stops = true;
  }
}
