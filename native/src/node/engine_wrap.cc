#include "node/engine_wrap.h"

#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

#include "chat/plain_prompt.h"
#include "llama/infill.h"
#include "node/js_options.h"
#include "node/option_reader.h"
#include "node/promise_worker.h"
#include "node/prompt_handle.h"
#include "node/request_options.h"
#include "node/stats_js.h"
#include "node/token_calls.h"

namespace {

std::string StringAt(const Napi::CallbackInfo& info, size_t index) {
  return info[index].As<Napi::String>().Utf8Value();
}

}  // namespace

Napi::Function EngineWrap::Define(Napi::Env env) {
  return DefineThread(env, "Engine",
                      {
                          StaticMethod<&EngineWrap::DraftProblem>("draftProblem"),
                          InstanceMethod<&EngineWrap::Capabilities>("capabilities"),
                          InstanceMethod<&EngineWrap::PrepareChat>("prepareChat"),
                          InstanceMethod<&EngineWrap::PrepareText>("prepareText"),
                          InstanceMethod<&EngineWrap::PrepareInfill>("prepareInfill"),
                          InstanceMethod<&EngineWrap::PrepareTokens>("prepareTokens"),
                          InstanceMethod<&EngineWrap::RenderChat>("renderChat"),
                          InstanceMethod<&EngineWrap::PromptTokens>("promptTokens"),
                          InstanceMethod<&EngineWrap::TokenizeAll>("tokenizeAll"),
                          InstanceMethod<&EngineWrap::ChatChanges>("chatChanges"),
                          InstanceMethod<&EngineWrap::Submit>("submit"),
                          InstanceMethod<&EngineWrap::Pause>("pause"),
                          InstanceMethod<&EngineWrap::Stats>("stats"),
                      });
}

EngineWrap::EngineWrap(const Napi::CallbackInfo& info) : ThreadWrap(info) {
  const auto options = info[0].As<Napi::Object>();
  const EngineOptions engine_options = EngineOptionsFrom(options);
  auto resources = std::make_unique<EngineResources>(
      engine_options.context.model, options.Get("chatTemplate").As<Napi::String>().Utf8Value());
  resources->model_object = Napi::Persistent(options.Get("model").As<Napi::Object>());
  if (engine_options.drafts.model != nullptr) {
    const auto speculative = options.Get("speculative").As<Napi::Object>();
    resources->draft_model_object = Napi::Persistent(speculative.Get("model").As<Napi::Object>());
  }
  const Model* model = &resources->model;
  Start(std::move(resources), info[1].As<Napi::Function>(), model, engine_options);
}

Napi::Value EngineWrap::DraftProblem(const Napi::CallbackInfo& info) {
  const llama_model* model = BorrowModel(info[0].As<Napi::Object>());
  const llama_model* draft = BorrowModel(info[1].As<Napi::Object>());
  return Napi::String::New(info.Env(), ::DraftProblem(model, draft));
}

Napi::Value EngineWrap::Capabilities(const Napi::CallbackInfo& info) {
  const auto& [model_object, draft_model_object, model, chat] = resources();
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("vocabularySize", model.n_vocab());
  result.Set("infill", model.can_infill());
  result.Set("tools", chat.chat_template().supports_tools());
  result.Set("thinking", chat.chat_template().supports_thinking());
  result.Set("thinksByDefault", chat.chat_template().thinks_by_default());
  return result;
}

Napi::Promise EngineWrap::PreparePrompt(std::function<Prompt()> prepare) {
  return RunOnWorker<Prompt>(
      Env(), [prepare = std::move(prepare), use = Use()] { return prepare(); },
      [coming = thread().worker().Announce()](Napi::Env env, Prompt prompt) {
        return WrapPrompt(env, std::move(prompt));
      });
}

Napi::Value EngineWrap::PrepareChat(const Napi::CallbackInfo& info) {
  return PreparePrompt(
      [chat = &resources().chat, request = StringAt(info, 0)] { return chat->Prepare(request); });
}

Napi::Value EngineWrap::PrepareText(const Napi::CallbackInfo& info) {
  return PreparePrompt(
      [model = &resources().model, text = StringAt(info, 0), format = StringAt(info, 1)] {
        return PlainPrompt(model->Tokenize(text, true), format);
      });
}

Napi::Value EngineWrap::PrepareInfill(const Napi::CallbackInfo& info) {
  return PreparePrompt([model = &resources().model,
                        text = InfillTextFrom(info[0].As<Napi::Object>()),
                        format = StringAt(info, 1)] {
    InfillTokens infill = TokenizeInfill(*model, text);
    Prompt prompt = PlainPrompt(std::move(infill.tokens), format);
    prompt.cut = infill.cut;
    return prompt;
  });
}

Napi::Value EngineWrap::PrepareTokens(const Napi::CallbackInfo& info) {
  return PreparePrompt([tokens = TokensFrom(info[0].As<Napi::Int32Array>()),
                        format = StringAt(info, 1)] { return PlainPrompt(tokens, format); });
}

Napi::Value EngineWrap::RenderChat(const Napi::CallbackInfo& info) {
  return RunOnWorker<std::string>(
      Env(),
      [chat = &resources().chat, use = Use(), request = StringAt(info, 0)] {
        return chat->Render(request);
      },
      [](Napi::Env env, std::string text) { return Napi::String::New(env, text); });
}

Napi::Value EngineWrap::ChatChanges(const Napi::CallbackInfo& info) {
  return RunOnWorker<std::vector<std::string>>(
      Env(),
      [chat = &resources().chat, use = Use(), request = StringAt(info, 0)] {
        return chat->Changes(request);
      },
      [](Napi::Env env, std::vector<std::string> names) {
        Napi::Array result = Napi::Array::New(env, names.size());
        for (uint32_t i = 0; i < names.size(); ++i) result.Set(i, names[i]);
        return result;
      });
}

void EngineWrap::Submit(const Napi::CallbackInfo& info) {
  Thread& engine = thread();
  engine.Send(SubmitFrom(RequestIdFrom(info[0]), PromptOf(info[1]), info[2].As<Napi::Object>()));
}

Napi::Value EngineWrap::PromptTokens(const Napi::CallbackInfo& info) {
  return TokensToJs(info.Env(), PromptOf(info[0])->tokens);
}

Napi::Value EngineWrap::TokenizeAll(const Napi::CallbackInfo& info) {
  using TokenLists = std::vector<std::vector<llama_token>>;
  return RunOnWorker<TokenLists>(
      Env(),
      [model = &resources().model, use = Use(), texts = StringsFrom(info[0].As<Napi::Array>())] {
        TokenLists lists;
        for (const std::string& text : texts) {
          lists.push_back(model->Tokenize(text, /*add_special=*/false, /*parse_special=*/false));
        }
        return lists;
      },
      [](Napi::Env env, TokenLists lists) {
        Napi::Array result = Napi::Array::New(env, lists.size());
        for (uint32_t i = 0; i < lists.size(); ++i) result.Set(i, TokensToJs(env, lists[i]));
        return result;
      });
}

void EngineWrap::Pause(const Napi::CallbackInfo& info) {
  if (!is_open()) return;
  thread().Send(::Pause{RequestIdFrom(info[0]), info[1].As<Napi::Boolean>().Value()});
}

Napi::Value EngineWrap::Stats(const Napi::CallbackInfo& info) {
  return StatsToJs(info.Env(), thread().worker().stats());
}
