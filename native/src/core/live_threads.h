// Native threads that run. `process.exit` does not run Node's cleanup hooks on the main thread, and
// the libraries' own destructors must not find a thread that still computes: what is left here when
// the process exits is closed.
#pragma once

#include <memory>
#include <mutex>
#include <set>

class LiveThread {
 public:
  virtual ~LiveThread() = default;
  // Any thread. Returns at once. Idempotent.
  virtual void RequestClose() = 0;
  // Any thread but its own. Waits until it has ended. Idempotent.
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
