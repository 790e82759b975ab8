// A thread that works only while its owner waits for it, in slices of time. At the end of a slice
// it stops at the next place where its work allows a pause. A long computation and a series of
// short ones so take turns on the same processors, and neither needs a lock for the other's data.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

class SlicedThread {
 public:
  using Clock = std::chrono::steady_clock;

  // `work` begins with the first slice. It must not throw. The destructor resumes it without
  // waiting at pauses: then it must return soon.
  explicit SlicedThread(std::function<void(SlicedThread*)> work);
  // Waits for the work to return.
  ~SlicedThread();
  SlicedThread(const SlicedThread&) = delete;
  SlicedThread& operator=(const SlicedThread&) = delete;

  // The owner: resumes the work until its first pause after `end`, or until it returns.
  void RunUntil(Clock::time_point end);

  // The work: ends its slice; PauseIfDue only if less than `ahead` is left of it. Returns when the
  // next slice begins.
  void Pause();
  void PauseIfDue(Clock::duration ahead);

 private:
  // kDone: the work has returned and gets no further turn.
  enum class Turn { kOwner, kWork, kDone };

  std::mutex mutex_;
  std::condition_variable turned_;
  Turn turn_ = Turn::kOwner;
  bool closing_ = false;
  Clock::time_point end_{};
  // Last member: the thread starts when all others exist.
  std::thread thread_;
};
