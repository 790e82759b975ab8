// What every JavaScript object with a native thread has in common: start, cancel, keep-alive,
// close, release, and the calls that need nothing but its model. JavaScript thread.
#pragma once

#include <napi.h>

#include <memory>
#include <utility>
#include <vector>

#include "core/live_threads.h"
#include "core/thread_loop.h"
#include "core/use_count.h"
#include "engine/request.h"
#include "node/events.h"
#include "node/outbox.h"
#include "node/token_calls.h"

inline RequestId RequestIdFrom(const Napi::Value& value) {
  return static_cast<RequestId>(value.As<Napi::Number>().Int64Value());
}

// `Self` is the wrap of `Worker`'s thread and has a static `kClosed`, the message of calls that
// come too late. `Resources` is what thread and workers need: freed after both have ended, and with
// a Model named `model`.
template <class Self, class Worker, class Resources>
class ThreadWrap : public Napi::ObjectWrap<Self> {
 public:
  ~ThreadWrap() override { ReleaseNow(); }

 protected:
  using Thread = ThreadLoop<Worker>;
  using Property = Napi::ClassPropertyDescriptor<Self>;

  explicit ThreadWrap(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<Self>(info), env_(info.Env()) {}

  // Starts the thread with the arguments of its worker. Called once, at the end of the constructor.
  template <class... Arguments>
  void Start(std::unique_ptr<Resources> resources, const Napi::Function& on_events,
             Arguments&&... arguments) {
    using Event = typename Worker::Event;
    resources_ = std::move(resources);
    outbox_ = std::make_unique<Outbox<Event>>(Napi::Env(env_), on_events);
    thread_ = std::make_shared<Thread>(
        [outbox = outbox_.get()](std::vector<Event> events) { outbox->Put(std::move(events)); },
        std::forward<Arguments>(arguments)...);
    LiveThreads::Get().Add(thread_);
    napi_add_env_cleanup_hook(env_, &ThreadWrap::ReleaseAtExit, this);
  }

  // The JavaScript class, with `own` methods beside those of every thread.
  static Napi::Function DefineThread(Napi::Env env, const char* name, std::vector<Property> own) {
    const auto method = [&own](const char* utf8name, auto callback) {
      own.push_back(ThreadWrap::InstanceMethod(utf8name, callback));
    };
    using Void = void (Self::*)(const Napi::CallbackInfo&);
    using Value = Napi::Value (Self::*)(const Napi::CallbackInfo&);
    method("tokenize", static_cast<Value>(&Self::Tokenize));
    method("detokenize", static_cast<Value>(&Self::Detokenize));
    method("cancel", static_cast<Void>(&Self::Cancel));
    method("keepAlive", static_cast<Void>(&Self::KeepAlive));
    method("requestClose", static_cast<Void>(&Self::RequestClose));
    method("release", static_cast<Void>(&Self::Release));
    return ThreadWrap::DefineClass(env, name, own);
  }

  bool is_open() const { return thread_ != nullptr; }
  // Throw a JavaScript error once the object is released.
  Thread& thread() const {
    RequireOpen();
    return *thread_;
  }
  const Resources& resources() const {
    RequireOpen();
    return *resources_;
  }
  // The resources stay until the last copy of the result is gone: for work on worker threads.
  std::shared_ptr<void> Use() const {
    RequireOpen();
    return NewUse(uses_);
  }

 private:
  Napi::Value Tokenize(const Napi::CallbackInfo& info) {
    return TokenizeCall(info, &resources().model, Use());
  }

  Napi::Value Detokenize(const Napi::CallbackInfo& info) {
    return DetokenizeCall(info, &resources().model, Use());
  }

  void Cancel(const Napi::CallbackInfo& info) {
    if (is_open()) thread_->Send(::Cancel{RequestIdFrom(info[0])});
  }

  // Whether events to come keep the process alive.
  void KeepAlive(const Napi::CallbackInfo& info) {
    if (is_open()) outbox_->KeepAlive(info.Env(), info[0].As<Napi::Boolean>().Value());
  }

  void RequestClose(const Napi::CallbackInfo&) {
    if (is_open()) thread_->RequestClose();
  }

  void Release(const Napi::CallbackInfo&) { ReleaseNow(); }

  static void ReleaseAtExit(void* self) { static_cast<ThreadWrap*>(self)->ReleaseNow(); }

  // Ends the thread and waits for it and for the worker threads: at most one step, and no time at
  // all after `stopped`. Idempotent.
  void ReleaseNow() {
    if (!is_open()) return;
    napi_remove_env_cleanup_hook(env_, &ThreadWrap::ReleaseAtExit, this);
    LiveThreads::Get().Remove(thread_);
    thread_->RequestClose();
    thread_->Join();
    thread_.reset();
    uses_->WaitForNone();
    outbox_.reset();
    resources_.reset();
  }

  void RequireOpen() const {
    if (!is_open()) throw Napi::Error::New(Napi::Env(env_), Self::kClosed);
  }

  const napi_env env_;
  std::unique_ptr<Resources> resources_;
  std::unique_ptr<Outbox<typename Worker::Event>> outbox_;
  // Null once the object is released.
  std::shared_ptr<Thread> thread_;
  std::shared_ptr<UseCount> uses_ = std::make_shared<UseCount>();
};
