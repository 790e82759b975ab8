// The engine as JavaScript sees it: `new Engine(options, onEvents)`. src/engine/addon.ts declares
// the methods and their arguments.
#pragma once

#include <napi.h>

#include <functional>
#include <string>

#include "chat/chat.h"
#include "engine/engine.h"
#include "llama/model.h"
#include "node/thread_wrap.h"

struct EngineResources {
  EngineResources(llama_model* llama, const std::string& chat_template)
      : model(llama), chat(&model, chat_template) {}

  // Keep node-llama-cpp's model objects, and with them the llama_models, from being collected.
  Napi::ObjectReference model_object;
  Napi::ObjectReference draft_model_object;
  Model model;
  Chat chat;
};

class EngineWrap : public ThreadWrap<EngineWrap, Engine, EngineResources> {
 public:
  static constexpr char kClosed[] = "the engine is closed";

  static Napi::Function Define(Napi::Env env);

  explicit EngineWrap(const Napi::CallbackInfo& info);

 private:
  static Napi::Value DraftProblem(const Napi::CallbackInfo& info);
  Napi::Value Capabilities(const Napi::CallbackInfo& info);
  Napi::Value PrepareChat(const Napi::CallbackInfo& info);
  Napi::Value PrepareText(const Napi::CallbackInfo& info);
  Napi::Value PrepareInfill(const Napi::CallbackInfo& info);
  Napi::Value PrepareTokens(const Napi::CallbackInfo& info);
  Napi::Value RenderChat(const Napi::CallbackInfo& info);
  Napi::Value PromptTokens(const Napi::CallbackInfo& info);
  Napi::Value TokenizeAll(const Napi::CallbackInfo& info);
  Napi::Value ChatChanges(const Napi::CallbackInfo& info);
  void Submit(const Napi::CallbackInfo& info);
  void Pause(const Napi::CallbackInfo& info);
  Napi::Value Stats(const Napi::CallbackInfo& info);

  // Prepares a prompt on a worker thread. An idle engine may wait for its request.
  Napi::Promise PreparePrompt(std::function<Prompt()> prepare);
};
