// Messages into the engine thread: a queue behind one mutex, with one reader.
#pragma once

#include <condition_variable>
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

  // The reader: sleeps until there is a message, then takes everything.
  std::vector<Message> WaitAndTakeAll() {
    std::unique_lock lock(mutex_);
    arrived_.wait(lock, [this] { return !messages_.empty(); });
    return std::exchange(messages_, {});
  }

 private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::vector<Message> messages_;
};
