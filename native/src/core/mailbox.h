// Messages into a native thread: a queue behind one mutex, with any number of writers and one
// reader.
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

  // Any thread. From now on the reader never waits. Idempotent.
  void Close() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    arrived_.notify_one();
  }

  // The reader: all messages that have arrived, in order; possibly none.
  std::vector<Message> TakeAll() {
    const std::lock_guard lock(mutex_);
    return std::exchange(messages_, {});
  }

  // The reader: sleeps until there is a message. Then gathers until no message has arrived for
  // `quiet` and `more_to_come` is false, but at most for `max_wait` after the first one. With
  // `quiet` 0 it waits only while more is to come. Calls `more_to_come` under the mailbox's lock.
  // Returns all messages, possibly none once the mailbox is closed.
  template <class Duration, class Condition>
  std::vector<Message> WaitAndTakeAll(Duration quiet, Duration max_wait, Condition more_to_come) {
    std::unique_lock lock(mutex_);
    arrived_.wait(lock, [this] { return closed_ || !messages_.empty(); });
    auto now = std::chrono::steady_clock::now();
    const auto end = now + max_wait;
    size_t n_seen = 0;
    while (!closed_ && now < end && (n_seen < messages_.size() || more_to_come())) {
      const bool only_announced = n_seen == messages_.size();
      n_seen = messages_.size();
      const Duration pause = only_announced ? std::max<Duration>(quiet, kPollInterval) : quiet;
      arrived_.wait_until(lock, std::min(end, now + pause),
                          [&] { return closed_ || messages_.size() > n_seen; });
      now = std::chrono::steady_clock::now();
    }
    return std::exchange(messages_, {});
  }

 private:
  // How often `more_to_come` is evaluated again while no message arrives.
  static constexpr std::chrono::milliseconds kPollInterval{1};

  std::mutex mutex_;
  std::condition_variable arrived_;
  std::vector<Message> messages_;
  bool closed_ = false;
};
