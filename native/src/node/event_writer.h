// Writes the array of EventsToJs, and in it the events that all threads have in common.
#pragma once

#include <napi.h>

#include <cstdint>

#include "core/thread_loop.h"
#include "engine/request.h"

class EventWriter {
 public:
  explicit EventWriter(Napi::Env env) : env_(env), array_(Napi::Array::New(env)) {}

  void operator()(const RequestError& error) {
    Napi::Object object = NewPayload("request-error");
    object.Set("code", ErrorCodeName(error.code));
    object.Set("message", error.message);
    Push(error.id, object);
  }

  void operator()(const Failed& failed) {
    Napi::Object object = NewPayload("failed");
    object.Set("message", failed.message);
    Push(0, object);
  }

  void operator()(const Stopped&) { Push(0, NewPayload("stopped")); }

  Napi::Array array() const { return array_; }

 protected:
  Napi::Env env() const { return env_; }

  Napi::Object NewPayload(const char* type) const {
    Napi::Object object = Napi::Object::New(env_);
    object.Set("type", type);
    return object;
  }

  void Push(RequestId id, const Napi::Value& payload) {
    array_.Set(length_++, Napi::Number::New(env_, static_cast<double>(id)));
    array_.Set(length_++, payload);
  }

 private:
  const Napi::Env env_;
  const Napi::Array array_;
  uint32_t length_ = 0;
};
