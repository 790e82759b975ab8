// Counts the uses of an object on other threads, so that its owner can wait for them to end.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <utility>

class UseCount {
 public:
  void Enter() {
    const std::lock_guard lock(mutex_);
    ++count_;
  }

  void Leave() {
    const std::lock_guard lock(mutex_);
    if (--count_ == 0) none_.notify_all();
  }

  void WaitForNone() {
    std::unique_lock lock(mutex_);
    none_.wait(lock, [this] { return count_ == 0; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable none_;
  int count_ = 0;
};

// One use: from this call until the last copy of the result is gone.
inline std::shared_ptr<void> NewUse(std::shared_ptr<UseCount> count) {
  count->Enter();
  return {nullptr, [count = std::move(count)](void*) { count->Leave(); }};
}
