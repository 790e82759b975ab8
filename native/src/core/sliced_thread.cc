#include "core/sliced_thread.h"

#include <utility>

SlicedThread::SlicedThread(std::function<void(SlicedThread*)> work)
    : thread_([this, work = std::move(work)] {
        {
          std::unique_lock lock(mutex_);
          turned_.wait(lock, [this] { return turn_ == Turn::kWork || closing_; });
        }
        work(this);
        {
          const std::lock_guard lock(mutex_);
          turn_ = Turn::kDone;
        }
        turned_.notify_all();
      }) {}

SlicedThread::~SlicedThread() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  turned_.notify_all();
  thread_.join();
}

void SlicedThread::RunUntil(Clock::time_point end) {
  std::unique_lock lock(mutex_);
  if (turn_ == Turn::kDone) return;
  end_ = end;
  turn_ = Turn::kWork;
  turned_.notify_all();
  turned_.wait(lock, [this] { return turn_ != Turn::kWork; });
}

void SlicedThread::Pause() {
  std::unique_lock lock(mutex_);
  if (closing_) return;
  turn_ = Turn::kOwner;
  turned_.notify_all();
  turned_.wait(lock, [this] { return turn_ == Turn::kWork || closing_; });
}

void SlicedThread::PauseIfDue(Clock::duration ahead) {
  if (Clock::now() + ahead >= end_) Pause();
}
