#include "node/reply_parser_wrap.h"

#include <string>
#include <utility>
#include <vector>

#include "node/promise_worker.h"
#include "node/prompt_handle.h"

namespace {

Napi::Object ToJs(Napi::Env env, const ReplyDelta& delta) {
  Napi::Object object = Napi::Object::New(env);
  switch (delta.kind) {
    case ReplyDelta::Kind::kReasoning:
      object.Set("type", "reasoning-delta");
      object.Set("text", delta.text);
      break;
    case ReplyDelta::Kind::kContent:
      object.Set("type", "text-delta");
      object.Set("text", delta.text);
      break;
    case ReplyDelta::Kind::kToolCall:
      object.Set("type", "tool-call-delta");
      object.Set("index", delta.call_index);
      object.Set("name", delta.call_name);
      object.Set("id", delta.call_id);
      object.Set("arguments", delta.text);
      break;
  }
  return object;
}

}  // namespace

Napi::Function ReplyParserWrap::Define(Napi::Env env) {
  return DefineClass(env, "ReplyParser", {InstanceMethod<&ReplyParserWrap::Push>("push")});
}

ReplyParserWrap::ReplyParserWrap(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<ReplyParserWrap>(info) {
  const std::shared_ptr<const Prompt> prompt = PromptOf(info[0]);
  if (prompt->format == nullptr) {
    throw Napi::TypeError::New(info.Env(), "a reply to this prompt has no structure");
  }
  parser_ = std::make_shared<ReplyParser>(prompt->format);
}

Napi::Value ReplyParserWrap::Push(const Napi::CallbackInfo& info) {
  using Deltas = std::vector<ReplyDelta>;
  return RunOnWorker<Deltas>(
      info.Env(),
      [parser = parser_, text = info[0].As<Napi::String>().Utf8Value(),
       is_last = info[1].As<Napi::Boolean>().Value()] { return parser->Push(text, is_last); },
      [](Napi::Env env, Deltas deltas) {
        Napi::Array result = Napi::Array::New(env, deltas.size());
        for (uint32_t i = 0; i < deltas.size(); ++i) result.Set(i, ToJs(env, deltas[i]));
        return result;
      });
}
