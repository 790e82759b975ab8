// A thread that works only while its owner waits for it: for a slice of time, at whose end it stops
// at the next place it has marked. So a long computation and a row of short ones take turns on the
// same processors, and whoever looks at what the other has done needs no lock.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

class SlicedThread {
 public:
  using Clock = std::chrono::steady_clock;

  // `work` begins with the first slice. It must not throw, and must return soon once it is resumed
  // for the destructor's sake: there its pauses no longer wait.
  explicit SlicedThread(std::function<void(SlicedThread*)> work);
  // Waits for the work to return.
  ~SlicedThread();
  SlicedThread(const SlicedThread&) = delete;
  SlicedThread& operator=(const SlicedThread&) = delete;

  // The owner: lets the work go on until `end`, and from there to the next pause or to its return.
  void RunUntil(Clock::time_point end);

  // The work: ends its slice, or does so if less than `ahead` is left of it. Returns with the next
  // one.
  void Pause();
  void PauseIfDue(Clock::duration ahead);

 private:
  // Whose turn it is. Nobody gets it back from work that has returned.
  enum class Turn { kOwner, kWork, kNobody };

  std::mutex mutex_;
  std::condition_variable turned_;
  Turn turn_ = Turn::kOwner;
  bool closing_ = false;
  Clock::time_point end_{};
  // Last: starts when everything above exists.
  std::thread thread_;
};
