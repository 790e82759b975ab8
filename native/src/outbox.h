// Events on their way from the engine thread to JavaScript: one crossing a step, and fewer when
// JavaScript is busy, for then a crossing carries all that has gathered.
#pragma once

#include <napi.h>

#include <memory>
#include <mutex>
#include <vector>

#include "messages.h"

class Outbox {
 public:
  // `on_events` is called on the JavaScript thread with an array of alternating sequence ids and
  // payloads: a string for text, an object for everything else.
  Outbox(Napi::Env env, const Napi::Function& on_events);
  // Nothing may call Put any more. JavaScript thread.
  ~Outbox();

  // Engine thread; does not block.
  void Put(std::vector<Event> events);

  // Whether events to come keep the process alive. JavaScript thread.
  void KeepAlive(Napi::Env env, bool keep);

 private:
  // Shared by this object and by calls under way, so that either may go first.
  struct Queue {
    std::mutex mutex;
    std::vector<Event> events;
    bool call_pending = false;
  };
  using QueueHolder = std::shared_ptr<Queue>;

  static void Deliver(Napi::Env env, Napi::Function on_events, QueueHolder* queue, void*);
  using Crossing = Napi::TypedThreadSafeFunction<QueueHolder, void, &Outbox::Deliver>;

  QueueHolder queue_;
  Crossing crossing_;
};
