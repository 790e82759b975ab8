// The embedder's events as JavaScript sees them.
#include <algorithm>
#include <variant>

#include "node/outbox.h"

namespace {

struct ToJs {
  Napi::Env env;
  Napi::Array array;
  uint32_t length = 0;

  void operator()(const EmbedderStarted&) { Push(0, NewPayload("started")); }

  void operator()(const EmbedEnd& end) {
    Napi::Object object = NewPayload("embed-end");
    auto values = Napi::Float32Array::New(env, end.values.size());
    std::ranges::copy(end.values, values.Data());
    object.Set("values", values);
    object.Set("queueMs", end.queue_ms);
    object.Set("computeMs", end.compute_ms);
    Push(end.id, object);
  }

  void operator()(const EmbedCancelled& cancelled) {
    Push(cancelled.id, NewPayload("embed-cancelled"));
  }

  void operator()(const EmbedError& error) {
    Napi::Object object = NewPayload("embed-error");
    object.Set("code", ErrorCodeName(error.code));
    object.Set("message", error.message);
    Push(error.id, object);
  }

  void operator()(const EmbedderFailed& failed) {
    Napi::Object object = NewPayload("embedder-failed");
    object.Set("message", failed.message);
    Push(0, object);
  }

  void operator()(const EmbedderStopped&) { Push(0, NewPayload("stopped")); }

  Napi::Object NewPayload(const char* type) const {
    Napi::Object object = Napi::Object::New(env);
    object.Set("type", type);
    return object;
  }

  void Push(EmbedRequestId id, const Napi::Value& payload) {
    array.Set(length++, Napi::Number::New(env, static_cast<double>(id)));
    array.Set(length++, payload);
  }
};

}  // namespace

Napi::Array EventsToJs(Napi::Env env, std::vector<EmbedEvent> events) {
  ToJs to_js{env, Napi::Array::New(env)};
  for (const EmbedEvent& event : events) std::visit(to_js, event);
  return to_js.array;
}
