#include "node/token_calls.h"

#include <algorithm>
#include <string>
#include <utility>

#include "node/promise_worker.h"

std::vector<llama_token> TokensFrom(const Napi::Int32Array& array) {
  return {array.Data(), array.Data() + array.ElementLength()};
}

Napi::Int32Array TokensToJs(Napi::Env env, const std::vector<llama_token>& tokens) {
  auto array = Napi::Int32Array::New(env, tokens.size());
  std::copy(tokens.begin(), tokens.end(), array.Data());
  return array;
}

Napi::Promise TokenizeCall(const Napi::CallbackInfo& info, const Model* model,
                           std::shared_ptr<void> use) {
  using Tokens = std::vector<llama_token>;
  return RunOnWorker<Tokens>(
      info.Env(),
      [model, use = std::move(use), text = info[0].As<Napi::String>().Utf8Value(),
       add_special = info[1].As<Napi::Boolean>().Value(),
       parse_special = info[2].As<Napi::Boolean>().Value()] {
        return model->Tokenize(text, add_special, parse_special);
      },
      [](Napi::Env env, Tokens tokens) { return TokensToJs(env, tokens); });
}

Napi::Promise DetokenizeCall(const Napi::CallbackInfo& info, const Model* model,
                             std::shared_ptr<void> use) {
  return RunOnWorker<std::string>(
      info.Env(),
      [model, use = std::move(use), tokens = TokensFrom(info[0].As<Napi::Int32Array>())] {
        return model->Detokenize(tokens, true);
      },
      [](Napi::Env env, std::string text) {
        return Napi::Buffer<char>::Copy(env, text.data(), text.size());
      });
}
