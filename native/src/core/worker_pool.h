// Threads that share the items of one job at a time, for jobs of some hundred microseconds such as
// sampling the sequences of a step. Between jobs the threads sleep, so that they take no time from
// the compute threads.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

class WorkerPool {
 public:
  // `n_threads` includes the thread that calls Run; 1 or less starts no thread.
  explicit WorkerPool(int32_t n_threads);
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // Calls `work` once for each number from 0 to `n_items` - 1, lower numbers first, from several
  // threads at the same time. Returns when all calls have returned. `work` must not throw. Only one
  // thread at a time may call Run.
  void Run(int32_t n_items, const std::function<void(int32_t)>& work);

  int32_t n_threads() const { return static_cast<int32_t>(threads_.size()) + 1; }

 private:
  void Loop();
  void TakeItems(const std::function<void(int32_t)>& work, int32_t n_items);

  std::mutex mutex_;
  std::condition_variable work_there_;
  std::condition_variable all_left_;
  bool closing_ = false;
  // Number of jobs so far, so that a thread joins each job once.
  uint64_t job_ = 0;
  // Threads that may still use the job.
  int32_t n_inside_ = 0;
  const std::function<void(int32_t)>* work_ = nullptr;
  int32_t n_items_ = 0;
  std::atomic<int32_t> next_item_{0};
  std::vector<std::thread> threads_;
};
