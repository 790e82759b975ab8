#include "core/worker_pool.h"

#include <algorithm>

WorkerPool::WorkerPool(int32_t n_threads) {
  for (int32_t i = 1; i < n_threads; ++i) threads_.emplace_back([this] { Loop(); });
}

WorkerPool::~WorkerPool() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  work_there_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void WorkerPool::Run(int32_t n_items, const std::function<void(int32_t)>& work) {
  const int32_t n_helpers = std::min(static_cast<int32_t>(threads_.size()), n_items - 1);
  if (n_helpers <= 0) {
    for (int32_t item = 0; item < n_items; ++item) work(item);
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    work_ = &work;
    n_items_ = n_items;
    next_item_.store(0, std::memory_order_relaxed);
    ++job_;
  }
  for (int32_t i = 0; i < n_helpers; ++i) work_there_.notify_one();
  TakeItems(work, n_items);
  // A thread that has not joined by now finds no job; threads that have joined are waited for.
  std::unique_lock lock(mutex_);
  work_ = nullptr;
  all_left_.wait(lock, [this] { return n_inside_ == 0; });
}

void WorkerPool::Loop() {
  uint64_t done_job = 0;
  std::unique_lock lock(mutex_);
  while (true) {
    work_there_.wait(lock, [&] { return closing_ || (work_ != nullptr && job_ != done_job); });
    if (closing_) return;
    done_job = job_;
    ++n_inside_;
    // The job may be withdrawn before this thread takes an item; it stays valid until the thread
    // leaves.
    const std::function<void(int32_t)>& work = *work_;
    const int32_t n_items = n_items_;
    lock.unlock();
    TakeItems(work, n_items);
    lock.lock();
    if (--n_inside_ == 0) all_left_.notify_one();
  }
}

void WorkerPool::TakeItems(const std::function<void(int32_t)>& work, int32_t n_items) {
  while (true) {
    const int32_t item = next_item_.fetch_add(1, std::memory_order_relaxed);
    if (item >= n_items) return;
    work(item);
  }
}
