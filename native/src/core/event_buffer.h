// Events of a native thread on their way out: gathered while a step runs, then handed over
// together. Pure; used on one thread.
#pragma once

#include <chrono>
#include <functional>
#include <utility>
#include <vector>

template <class Event>
class EventBuffer {
 public:
  using Clock = std::chrono::steady_clock;
  // Receives events in order. Must not block and must not throw.
  using Sink = std::function<void(std::vector<Event>)>;

  explicit EventBuffer(Sink sink) : sink_(std::move(sink)) {}

  // Adds one kind of event. It is due at once, and with it all events before it.
  template <class Kind>
  void Emit(Kind&& event) {
    events_.emplace_back(std::forward<Kind>(event));
    due_ = Clock::time_point::min();
  }

  // The same, but the event may wait for others until `interval` after the latest flush.
  template <class Kind>
  void EmitLater(Kind&& event, Clock::duration interval) {
    if (events_.empty()) due_ = flushed_at_ + interval;
    events_.emplace_back(std::forward<Kind>(event));
  }

  bool is_due() const { return !events_.empty() && Clock::now() >= due_; }

  // Hands all events to the sink. Does nothing without events.
  void Flush() {
    if (events_.empty()) return;
    sink_(std::exchange(events_, {}));
    flushed_at_ = Clock::now();
  }

 private:
  const Sink sink_;
  std::vector<Event> events_;
  Clock::time_point due_ = Clock::time_point::min();
  Clock::time_point flushed_at_ = Clock::time_point::min();
};
