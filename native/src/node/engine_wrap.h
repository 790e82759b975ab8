// The engine's face towards JavaScript: `new Engine(options, onEvents)`. src/engine/addon.ts
// declares the methods and what they take.
#pragma once

#include <napi.h>

#include <memory>

#include "chat/chat.h"
#include "core/use_count.h"
#include "engine/engine.h"
#include "llama/model.h"
#include "node/outbox.h"
#include "node/promise_worker.h"

class EngineWrap : public Napi::ObjectWrap<EngineWrap> {
 public:
  static Napi::Function Define(Napi::Env env);

  explicit EngineWrap(const Napi::CallbackInfo& info);
  ~EngineWrap() override;

 private:
  static Napi::Value DraftProblem(const Napi::CallbackInfo& info);
  Napi::Value Abilities(const Napi::CallbackInfo& info);
  Napi::Value PrepareChat(const Napi::CallbackInfo& info);
  Napi::Value PrepareText(const Napi::CallbackInfo& info);
  Napi::Value PrepareInfill(const Napi::CallbackInfo& info);
  Napi::Value PrepareTokens(const Napi::CallbackInfo& info);
  Napi::Value RenderChat(const Napi::CallbackInfo& info);
  Napi::Value Tokenize(const Napi::CallbackInfo& info);
  Napi::Value Detokenize(const Napi::CallbackInfo& info);
  void Submit(const Napi::CallbackInfo& info);
  void Cancel(const Napi::CallbackInfo& info);
  void Hold(const Napi::CallbackInfo& info);
  void KeepAlive(const Napi::CallbackInfo& info);
  Napi::Value Stats(const Napi::CallbackInfo& info);
  void RequestClose(const Napi::CallbackInfo& info);
  void Release(const Napi::CallbackInfo& info);

  // Ends the thread and waits for it and for the workers: at most one step of the engine, and no
  // time at all once `stopped` was told. Idempotent.
  void ReleaseNow();
  static void ReleaseAtExit(void* self);

  // Runs `work` on a worker thread. The model and the chat outlive it.
  template <class Result>
  Napi::Promise OnWorker(typename PromiseWorker<Result>::Work work,
                         typename PromiseWorker<Result>::ToJs to_js);
  // The same for a prompt, which the engine may wait for.
  Napi::Promise PrepareOnWorker(PromiseWorker<Prompt>::Work work);
  void RequireOpen() const;

  const napi_env env_;
  // Keep node-llama-cpp's model objects, and with them the llama_models, from being collected.
  Napi::ObjectReference model_object_;
  Napi::ObjectReference draft_model_object_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<Chat> chat_;
  std::unique_ptr<Outbox<Event>> outbox_;
  std::shared_ptr<Engine> engine_;
  std::shared_ptr<UseCount> uses_ = std::make_shared<UseCount>();
};
