// Events on their way from a native thread to JavaScript: at most one crossing per flush. While
// JavaScript is busy a pending crossing takes along all events that are added.
#pragma once

#include <napi.h>

#include <iterator>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "node/events.h"

template <class Event>
class Outbox {
 public:
  // `on_events` is called on the JavaScript thread with the result of `EventsToJs`.
  Outbox(Napi::Env env, const Napi::Function& on_events)
      : queue_(std::make_shared<Queue>()),
        crossing_(Crossing::New(
            env, on_events, "llama-gguf-inference events", 0, 1, new QueueHolder(queue_),
            [](Napi::Env, void*, QueueHolder* queue) { delete queue; },
            static_cast<void*>(nullptr))) {
    crossing_.Unref(env);
  }

  // JavaScript thread. Requires that Put is not called any more.
  ~Outbox() { crossing_.Release(); }

  Outbox(const Outbox&) = delete;
  Outbox& operator=(const Outbox&) = delete;

  // Native thread. Does not block.
  void Put(std::vector<Event> events) {
    {
      const std::lock_guard lock(queue_->mutex);
      queue_->events.insert(queue_->events.end(), std::make_move_iterator(events.begin()),
                            std::make_move_iterator(events.end()));
      if (std::exchange(queue_->call_pending, true)) return;
    }
    crossing_.NonBlockingCall();
  }

  // JavaScript thread. Sets whether the process stays alive for future events.
  void KeepAlive(Napi::Env env, bool keep) {
    if (keep) {
      crossing_.Ref(env);
    } else {
      crossing_.Unref(env);
    }
  }

 private:
  // Shared by this object and by pending crossings: either may be destroyed first.
  struct Queue {
    std::mutex mutex;
    std::vector<Event> events;
    bool call_pending = false;
  };
  using QueueHolder = std::shared_ptr<Queue>;

  static void Deliver(Napi::Env env, Napi::Function on_events, QueueHolder* queue, void*) {
    // Null while the environment is torn down: there is no receiver any more.
    if (static_cast<napi_env>(env) == nullptr) return;
    std::vector<Event> events;
    {
      const std::lock_guard lock((*queue)->mutex);
      events = std::exchange((*queue)->events, {});
      (*queue)->call_pending = false;
    }
    on_events.Call({EventsToJs(env, events)});
  }

  using Crossing = Napi::TypedThreadSafeFunction<QueueHolder, void, &Outbox::Deliver>;

  QueueHolder queue_;
  Crossing crossing_;
};
