#include "outbox.h"

#include <iterator>
#include <utility>

namespace {

const char* FinishReasonName(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kCancelled:
      return "cancelled";
  }
  return "cancelled";
}

// One event as it goes into the array: an id (0 where no sequence is meant) and a payload.
struct ToJs {
  Napi::Env env;
  Napi::Array array;
  uint32_t length = 0;

  void operator()(const TextDelta& delta) { Push(delta.id, Napi::String::New(env, delta.text)); }

  void operator()(const SequenceEnd& end) {
    Napi::Object object = NewPayload("sequence-end");
    object.Set("finishReason", FinishReasonName(end.reason));
    object.Set("promptTokenCount", end.n_prompt_tokens);
    object.Set("cachedTokenCount", end.n_cached_tokens);
    object.Set("completionTokenCount", end.n_completion_tokens);
    object.Set("reasoningTokenCount", end.n_reasoning_tokens);
    object.Set("draftedTokenCount", end.n_drafted_tokens);
    object.Set("acceptedTokenCount", end.n_accepted_tokens);
    object.Set("queueMs", end.queue_ms);
    object.Set("prefillMs", end.prefill_ms);
    object.Set("decodeMs", end.decode_ms);
    Push(end.id, object);
  }

  void operator()(const SequenceError& error) {
    Napi::Object object = NewPayload("sequence-error");
    object.Set("code", ErrorCodeName(error.code));
    object.Set("message", error.message);
    Push(error.id, object);
  }

  void operator()(const Started& started) {
    Napi::Object object = NewPayload("started");
    object.Set("batchSize", started.n_batch);
    object.Set("ubatchSize", started.n_ubatch);
    object.Set("unifiedKv", started.unified_kv);
    object.Set("noDrafts", started.no_drafts);
    Push(0, object);
  }

  void operator()(const EngineFailed& failed) {
    Napi::Object object = NewPayload("engine-failed");
    object.Set("message", failed.message);
    Push(0, object);
  }

  void operator()(const Stopped&) { Push(0, NewPayload("stopped")); }

  Napi::Object NewPayload(const char* type) const {
    Napi::Object object = Napi::Object::New(env);
    object.Set("type", type);
    return object;
  }

  void Push(SequenceId id, const Napi::Value& payload) {
    array.Set(length++, Napi::Number::New(env, static_cast<double>(id)));
    array.Set(length++, payload);
  }
};

}  // namespace

Outbox::Outbox(Napi::Env env, const Napi::Function& on_events)
    : queue_(std::make_shared<Queue>()),
      crossing_(Crossing::New(
          env, on_events, "llama-gguf-inference engine events", 0, 1, new QueueHolder(queue_),
          [](Napi::Env, void*, QueueHolder* queue) { delete queue; },
          static_cast<void*>(nullptr))) {
  crossing_.Unref(env);
}

Outbox::~Outbox() { crossing_.Release(); }

void Outbox::Put(std::vector<Event> events) {
  {
    const std::lock_guard lock(queue_->mutex);
    queue_->events.insert(queue_->events.end(), std::make_move_iterator(events.begin()),
                          std::make_move_iterator(events.end()));
    if (std::exchange(queue_->call_pending, true)) return;
  }
  crossing_.NonBlockingCall();
}

void Outbox::KeepAlive(Napi::Env env, bool keep) {
  if (keep) {
    crossing_.Ref(env);
  } else {
    crossing_.Unref(env);
  }
}

void Outbox::Deliver(Napi::Env env, Napi::Function on_events, QueueHolder* queue, void*) {
  // Without an environment JavaScript is going down and nobody listens.
  if (static_cast<napi_env>(env) == nullptr) return;
  std::vector<Event> events;
  {
    const std::lock_guard lock((*queue)->mutex);
    events = std::exchange((*queue)->events, {});
    (*queue)->call_pending = false;
  }
  ToJs to_js{env, Napi::Array::New(env)};
  for (const Event& event : events) std::visit(to_js, event);
  on_events.Call({to_js.array});
}
