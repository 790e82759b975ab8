#include "reply_parser_wrap.h"

#include <exception>
#include <string>
#include <utility>
#include <vector>

#include "prepare_worker.h"

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

class ParseWorker : public Napi::AsyncWorker {
 public:
  ParseWorker(Napi::Env env, std::shared_ptr<ReplyParser> parser, std::string text, bool is_last)
      : Napi::AsyncWorker(env, "llama-gguf-inference parse"),
        deferred_(Napi::Promise::Deferred::New(env)),
        parser_(std::move(parser)),
        text_(std::move(text)),
        is_last_(is_last) {}

  Napi::Promise promise() const { return deferred_.Promise(); }

  void Execute() override {
    try {
      deltas_ = parser_->Push(text_, is_last_);
    } catch (const std::exception& error) {
      SetError(error.what()[0] == '\0' ? "no reason was given" : error.what());
    }
  }

  void OnOK() override {
    const Napi::HandleScope scope(Env());
    Napi::Array result = Napi::Array::New(Env(), deltas_.size());
    for (uint32_t i = 0; i < deltas_.size(); ++i) result.Set(i, ToJs(Env(), deltas_[i]));
    deferred_.Resolve(result);
  }

  void OnError(const Napi::Error& error) override { deferred_.Reject(error.Value()); }

 private:
  Napi::Promise::Deferred deferred_;
  std::shared_ptr<ReplyParser> parser_;
  std::string text_;
  bool is_last_;
  std::vector<ReplyDelta> deltas_;
};

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
  // Deletes itself when it is done.
  auto* worker = new ParseWorker(info.Env(), parser_, info[0].As<Napi::String>().Utf8Value(),
                                 info[1].As<Napi::Boolean>().Value());
  const Napi::Promise promise = worker->promise();
  worker->Queue();
  return promise;
}
