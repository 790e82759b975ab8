// The machine of a native thread that serves JavaScript.
//
//   callers --messages--> mailbox --> worker, step by step --> event buffer --> sink
//
// Nothing else crosses the border of the thread: callers never touch what the worker owns, and the
// worker never waits for a caller. The loop owns the lifecycle, the worker owns the work.
//
// A worker is a class with
//
//   Message, Event, Facts      Event is a variant of Started<Facts>, Failed, Stopped and its own
//   Worker(ThreadLink<Event> link, ...)                      on the caller's thread
//   Facts Open()                                             creates what the thread owns
//   std::vector<Message> Receive(Mailbox<Message>*, bool idle)   idle: waits for a message
//   void Handle(Message)
//   bool Step()                                              false if there was nothing to compute
//   void End(std::vector<Message> unhandled, const std::optional<std::string>& failure) noexcept
//                              ends each request, also the unhandled ones, and frees what Open made
//
// All but the constructor and the destructor are called on the thread, in this order. An exception
// of Open, Receive, Handle or Step is the failure of the thread.
#pragma once

#include <atomic>
#include <exception>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/event_buffer.h"
#include "core/live_threads.h"
#include "core/mailbox.h"

// The worker is open and steps can run. Emitted once, first, unless the thread fails before.
template <class Facts>
struct Started {
  Facts facts;
};

// The thread cannot go on. Each request has already got its own error.
struct Failed {
  std::string message;
};

// The worker's resources are freed and the thread ends. Emitted once, last.
struct Stopped {};

// What a worker knows of its loop.
template <class Event>
struct ThreadLink {
  EventBuffer<Event>* events = nullptr;
  // True once the thread is to stop; llama.cpp reads it as well, to return early.
  const std::atomic<bool>* closing = nullptr;
};

template <class Worker>
class ThreadLoop final : public LiveThread {
 public:
  using Message = typename Worker::Message;
  using Event = typename Worker::Event;

  // Starts the thread. `sink` is called on it.
  template <class... Arguments>
  explicit ThreadLoop(typename EventBuffer<Event>::Sink sink, Arguments&&... arguments)
      : events_(std::move(sink)),
        worker_(ThreadLink<Event>{&events_, &closing_}, std::forward<Arguments>(arguments)...),
        thread_([this] { Run(); }) {}

  // Closes and joins.
  ~ThreadLoop() override {
    RequestClose();
    Join();
  }

  ThreadLoop(const ThreadLoop&) = delete;
  ThreadLoop& operator=(const ThreadLoop&) = delete;

  // Any thread. Each request that is sent gets exactly one final event, also when the thread closes
  // or fails, unless it is sent after `Stopped`. A message for a request that has ended changes
  // nothing.
  void Send(Message message) { mailbox_.Push(std::move(message)); }

  // Any thread. Ends every request as cancelled and stops the thread; returns at once. Idempotent.
  void RequestClose() override {
    closing_.store(true, std::memory_order_relaxed);
    mailbox_.Close();
  }

  // Any thread but this one. Waits until the thread has ended, and with it the last call of the
  // sink. Idempotent.
  void Join() override {
    const std::lock_guard lock(join_mutex_);
    if (thread_.joinable()) thread_.join();
  }

  // For the functions of the worker that any thread may call.
  Worker& worker() { return worker_; }

 private:
  void Run() noexcept {
    std::optional<std::string> failure;
    try {
      RunSteps();
    } catch (const std::exception& error) {
      failure = error.what();
    } catch (...) {
      failure = "an exception of unknown type";
    }
    worker_.End(mailbox_.TakeAll(), failure);
    if (failure) events_.Emit(Failed{*failure});
    events_.Emit(Stopped{});
    events_.Flush();
  }

  void RunSteps() {
    events_.Emit(Started<typename Worker::Facts>{worker_.Open()});
    bool idle = false;
    while (!closing_.load(std::memory_order_relaxed)) {
      if (idle || events_.is_due()) events_.Flush();
      for (Message& message : worker_.Receive(&mailbox_, idle)) worker_.Handle(std::move(message));
      idle = !worker_.Step();
    }
  }

  Mailbox<Message> mailbox_;
  std::atomic<bool> closing_{false};
  // Used on the thread only.
  EventBuffer<Event> events_;
  Worker worker_;
  std::mutex join_mutex_;
  // Last member: the thread starts when all others exist.
  std::thread thread_;
};
