#include "node/outbox.h"

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

  void operator()(const TextDelta& delta) {
    const Napi::String text = Napi::String::New(env, delta.text);
    if (!delta.tokens) {
      Push(delta.id, text);
      return;
    }
    Napi::Object object = NewPayload("scored-text");
    object.Set("text", text);
    object.Set("tokens", Tokens(*delta.tokens));
    Push(delta.id, object);
  }

  void operator()(const PromptDelta& delta) {
    Napi::Object object = NewPayload("scored-prompt");
    object.Set("tokens", Tokens(delta.tokens));
    Push(delta.id, object);
  }

  void operator()(const SequenceEnd& end) {
    Napi::Object object = NewPayload("sequence-end");
    object.Set("finishReason", FinishReasonName(end.reason));
    object.Set("promptTokenCount", end.n_prompt_tokens);
    object.Set("cachedTokenCount", end.n_cached_tokens);
    object.Set("completionTokenCount", end.n_completion_tokens);
    object.Set("reasoningTokenCount", end.n_reasoning_tokens);
    if (end.total_logprob) object.Set("totalLogprob", *end.total_logprob);
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
    object.Set("promptLane", started.prompt_lane);
    object.Set("noPromptLane", started.no_prompt_lane);
    Push(0, object);
  }

  void operator()(const EngineFailed& failed) {
    Napi::Object object = NewPayload("engine-failed");
    object.Set("message", failed.message);
    Push(0, object);
  }

  void operator()(const Stopped&) { Push(0, NewPayload("stopped")); }

  Napi::Array Tokens(const std::vector<ScoredToken>& tokens) const {
    Napi::Array result = Napi::Array::New(env, tokens.size());
    for (uint32_t i = 0; i < tokens.size(); ++i) {
      const ScoredToken& token = tokens[i];
      Napi::Array top = Napi::Array::New(env, 2 * token.top.size());
      for (uint32_t j = 0; j < token.top.size(); ++j) {
        top.Set(2 * j, Bytes(token.top[j].bytes));
        top.Set(2 * j + 1, static_cast<double>(token.top[j].logprob));
      }
      Napi::Object object = Napi::Object::New(env);
      object.Set("bytes", Bytes(token.bytes));
      if (token.logprob) object.Set("logprob", static_cast<double>(*token.logprob));
      object.Set("top", top);
      object.Set("firstCharacter", token.first_character);
      result.Set(i, object);
    }
    return result;
  }

  // A character for each byte: much cheaper than a buffer for so little.
  Napi::Value Bytes(const std::string& bytes) const {
    napi_value value = nullptr;
    napi_create_string_latin1(env, bytes.data(), bytes.size(), &value);
    return {env, value};
  }

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

Napi::Array EventsToJs(Napi::Env env, std::vector<Event> events) {
  ToJs to_js{env, Napi::Array::New(env)};
  for (const Event& event : events) std::visit(to_js, event);
  return to_js.array;
}
