// Messages into the engine thread: a queue behind one mutex, with one reader.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <utility>
#include <vector>

template <typename Message>
class Mailbox {
 public:
  // Any thread.
  void Push(Message message) {
    {
      const std::lock_guard lock(mutex_);
      messages_.push_back(std::move(message));
    }
    arrived_.notify_one();
  }

  // The reader: everything that has arrived, in order; empty when there is nothing.
  std::vector<Message> TakeAll() {
    const std::lock_guard lock(mutex_);
    return std::exchange(messages_, {});
  }

  // The reader: sleeps until there is a message, then takes everything that comes until nothing has
  // come for `quiet` and nothing is known to be on its way, but waits no longer than `longest`
  // after the first. Without `quiet` it takes what is there, unless more is on its way.
  // `more_to_come` is asked under the mailbox's lock.
  template <class Duration, class Condition>
  std::vector<Message> WaitAndTakeAll(Duration quiet, Duration longest, Condition more_to_come) {
    std::unique_lock lock(mutex_);
    arrived_.wait(lock, [this] { return !messages_.empty(); });
    auto now = std::chrono::steady_clock::now();
    const auto end = now + longest;
    size_t n_seen = 0;
    while (now < end && (n_seen < messages_.size() || more_to_come())) {
      const bool knows_of_more = n_seen == messages_.size();
      n_seen = messages_.size();
      const Duration pause = knows_of_more ? std::max<Duration>(quiet, kLook) : quiet;
      arrived_.wait_until(lock, std::min(end, now + pause),
                          [&] { return messages_.size() > n_seen; });
      now = std::chrono::steady_clock::now();
    }
    return std::exchange(messages_, {});
  }

 private:
  // How often it looks whether what was on its way still is.
  static constexpr std::chrono::milliseconds kLook{1};

  std::mutex mutex_;
  std::condition_variable arrived_;
  std::vector<Message> messages_;
};
