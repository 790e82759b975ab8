// The engine's events as JavaScript receives them.
#include <string>
#include <variant>
#include <vector>

#include "node/event_writer.h"
#include "node/events.h"
#include "node/token_calls.h"

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

class EngineEventWriter : public EventWriter {
 public:
  using EventWriter::EventWriter;
  using EventWriter::operator();

  void operator()(const TextDelta& delta) {
    const Napi::String text = Napi::String::New(env(), delta.text);
    if (!delta.tokens && delta.ids.empty()) {
      Push(delta.id, text);
      return;
    }
    Napi::Object object = NewPayload("text-tokens");
    object.Set("text", text);
    if (delta.tokens) object.Set("tokens", Tokens(*delta.tokens));
    SetIds(delta.ids, &object);
    Push(delta.id, object);
  }

  void operator()(const ThreadsChanged& changed) {
    Napi::Object object = NewPayload("threads-changed");
    object.Set("threadCount", changed.n_threads);
    object.Set("previousThreadCount", changed.n_before);
    Push(0, object);
  }

  void operator()(const PromptProgress& progress) {
    Napi::Object object = NewPayload("prompt-progress");
    object.Set("promptTokenCount", progress.n_prompt_tokens);
    object.Set("cachedTokenCount", progress.n_cached_tokens);
    object.Set("processedTokenCount", progress.n_done);
    object.Set("ms", progress.ms);
    Push(progress.id, object);
  }

  void operator()(const PromptDelta& delta) {
    Napi::Object object = NewPayload("prompt-logprobs");
    object.Set("tokens", Tokens(delta.tokens));
    Push(delta.id, object);
  }

  void operator()(const SequenceEnd& end) {
    Napi::Object object = NewPayload("sequence-end");
    object.Set("finishReason", FinishReasonName(end.reason));
    if (!end.stop_text.empty()) object.Set("stopText", end.stop_text);
    if (end.stop_token) object.Set("stopToken", *end.stop_token);
    SetIds(end.ids, &object);
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

  void operator()(const Started<EngineFacts>& started) {
    const EngineFacts& facts = started.facts;
    Napi::Object object = NewPayload("started");
    object.Set("batchSize", facts.n_batch);
    object.Set("ubatchSize", facts.n_ubatch);
    object.Set("unifiedKv", facts.unified_kv);
    object.Set("speculativeDisabledReason", facts.drafts_disabled_reason);
    object.Set("backgroundPrefill", facts.background_prefill);
    object.Set("backgroundPrefillDisabledReason", facts.background_prefill_disabled_reason);
    Push(0, object);
  }

 private:
  void SetIds(const std::vector<Token>& ids, Napi::Object* object) const {
    if (!ids.empty()) object->Set("ids", TokensToJs(env(), ids));
  }

  Napi::Array Tokens(const std::vector<TokenLogprob>& tokens) const {
    Napi::Array result = Napi::Array::New(env(), tokens.size());
    for (uint32_t i = 0; i < tokens.size(); ++i) {
      const TokenLogprob& token = tokens[i];
      Napi::Array top = Napi::Array::New(env(), 3 * token.top.size());
      for (uint32_t j = 0; j < token.top.size(); ++j) {
        top.Set(3 * j, token.top[j].token);
        top.Set(3 * j + 1, Bytes(token.top[j].bytes));
        top.Set(3 * j + 2, static_cast<double>(token.top[j].logprob));
      }
      Napi::Object object = Napi::Object::New(env());
      object.Set("id", token.token);
      object.Set("bytes", Bytes(token.bytes));
      if (token.logprob) object.Set("logprob", static_cast<double>(*token.logprob));
      if (token.rank) object.Set("rank", *token.rank);
      object.Set("top", top);
      object.Set("firstCharacter", token.first_character);
      result.Set(i, object);
    }
    return result;
  }

  // One character for each byte: much cheaper than a buffer for a few bytes.
  Napi::Value Bytes(const std::string& bytes) const {
    napi_value value = nullptr;
    napi_create_string_latin1(env(), bytes.data(), bytes.size(), &value);
    return {env(), value};
  }
};

}  // namespace

Napi::Array EventsToJs(Napi::Env env, const std::vector<EngineEvent>& events) {
  EngineEventWriter writer(env);
  for (const EngineEvent& event : events) std::visit(writer, event);
  return writer.array();
}
