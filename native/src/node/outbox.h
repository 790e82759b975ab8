// Events on their way from a native thread to JavaScript: one crossing a flush, and fewer when
// JavaScript is busy, for then a crossing carries all that has gathered.
#pragma once

#include <napi.h>

#include <iterator>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "engine/embed_messages.h"
#include "engine/messages.h"

// How JavaScript sees events: an array of alternating ids (0 where nothing in particular is meant)
// and payloads. Every kind of event has its own. JavaScript thread.
Napi::Array EventsToJs(Napi::Env env, std::vector<Event> events);
Napi::Array EventsToJs(Napi::Env env, std::vector<EmbedEvent> events);

template <class EventType>
class Outbox {
 public:
  // `on_events` is called on the JavaScript thread with what `EventsToJs` makes.
  Outbox(Napi::Env env, const Napi::Function& on_events)
      : queue_(std::make_shared<Queue>()),
        crossing_(Crossing::New(
            env, on_events, "llama-gguf-inference events", 0, 1, new QueueHolder(queue_),
            [](Napi::Env, void*, QueueHolder* queue) { delete queue; },
            static_cast<void*>(nullptr))) {
    crossing_.Unref(env);
  }

  // Nothing may call Put any more. JavaScript thread.
  ~Outbox() { crossing_.Release(); }

  Outbox(const Outbox&) = delete;
  Outbox& operator=(const Outbox&) = delete;

  // The native thread; does not block.
  void Put(std::vector<EventType> events) {
    {
      const std::lock_guard lock(queue_->mutex);
      queue_->events.insert(queue_->events.end(), std::make_move_iterator(events.begin()),
                            std::make_move_iterator(events.end()));
      if (std::exchange(queue_->call_pending, true)) return;
    }
    crossing_.NonBlockingCall();
  }

  // Whether events to come keep the process alive. JavaScript thread.
  void KeepAlive(Napi::Env env, bool keep) {
    if (keep) {
      crossing_.Ref(env);
    } else {
      crossing_.Unref(env);
    }
  }

 private:
  // Shared by this object and by calls under way, so that either may go first.
  struct Queue {
    std::mutex mutex;
    std::vector<EventType> events;
    bool call_pending = false;
  };
  using QueueHolder = std::shared_ptr<Queue>;

  static void Deliver(Napi::Env env, Napi::Function on_events, QueueHolder* queue, void*) {
    // Without an environment JavaScript is going down and nobody listens.
    if (static_cast<napi_env>(env) == nullptr) return;
    std::vector<EventType> events;
    {
      const std::lock_guard lock((*queue)->mutex);
      events = std::exchange((*queue)->events, {});
      (*queue)->call_pending = false;
    }
    on_events.Call({EventsToJs(env, std::move(events))});
  }

  using Crossing = Napi::TypedThreadSafeFunction<QueueHolder, void, &Outbox::Deliver>;

  QueueHolder queue_;
  Crossing crossing_;
};
