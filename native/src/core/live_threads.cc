#include "core/live_threads.h"

#include <cstdlib>
#include <utility>

LiveThreads& LiveThreads::Get() {
  // The exit handler is registered when the first thread starts, after the backends were loaded:
  // exit handlers run in reverse order, so this one runs before theirs. The instance is never
  // destroyed, so that it outlives every thread.
  static auto* const instance = [] {
    std::atexit([] { Get().CloseAll(); });
    return new LiveThreads;
  }();
  return *instance;
}

void LiveThreads::Add(std::shared_ptr<LiveThread> thread) {
  const std::lock_guard lock(mutex_);
  threads_.insert(std::move(thread));
}

void LiveThreads::Remove(const std::shared_ptr<LiveThread>& thread) {
  const std::lock_guard lock(mutex_);
  threads_.erase(thread);
}

void LiveThreads::CloseAll() {
  std::set<std::shared_ptr<LiveThread>> threads;
  {
    const std::lock_guard lock(mutex_);
    threads.swap(threads_);
  }
  for (const auto& thread : threads) thread->RequestClose();
  for (const auto& thread : threads) thread->Join();
}
