// The running native threads. `process.exit` does not run Node's cleanup hooks on the main thread,
// and the destructors of the libraries must not run while a thread still computes: all threads that
// are registered when the process exits are closed.
#pragma once

#include <memory>
#include <mutex>
#include <set>

class LiveThread {
 public:
  virtual ~LiveThread() = default;
  // Any thread. Returns at once. Idempotent.
  virtual void RequestClose() = 0;
  // Any thread but this one. Waits until the thread has ended. Idempotent.
  virtual void Join() = 0;
};

class LiveThreads {
 public:
  static LiveThreads& Get();

  void Add(std::shared_ptr<LiveThread> thread);
  void Remove(const std::shared_ptr<LiveThread>& thread);

 private:
  void CloseAll();

  std::mutex mutex_;
  std::set<std::shared_ptr<LiveThread>> threads_;
};
