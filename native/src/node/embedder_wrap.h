// The embedder's face towards JavaScript: `new Embedder(options, onEvents)`. src/engine/addon.ts
// declares the methods and what they take.
#pragma once

#include <napi.h>

#include <memory>

#include "core/use_count.h"
#include "engine/embed_inputs.h"
#include "engine/embedder.h"
#include "llama/model.h"
#include "node/outbox.h"

class EmbedderWrap : public Napi::ObjectWrap<EmbedderWrap> {
 public:
  static Napi::Function Define(Napi::Env env);

  explicit EmbedderWrap(const Napi::CallbackInfo& info);
  ~EmbedderWrap() override;

 private:
  static Napi::Value Abilities(const Napi::CallbackInfo& info);

  Napi::Value Prepare(const Napi::CallbackInfo& info);
  Napi::Value PrepareRanking(const Napi::CallbackInfo& info);
  Napi::Value Tokenize(const Napi::CallbackInfo& info);
  Napi::Value Detokenize(const Napi::CallbackInfo& info);
  void Submit(const Napi::CallbackInfo& info);
  void Cancel(const Napi::CallbackInfo& info);
  void KeepAlive(const Napi::CallbackInfo& info);
  void RequestClose(const Napi::CallbackInfo& info);
  void Release(const Napi::CallbackInfo& info);

  // Ends the thread and waits for it and for the workers: at most one batch, and no time at all
  // once `stopped` was told. Idempotent.
  void ReleaseNow();
  static void ReleaseAtExit(void* self);

  void RequireOpen() const;

  const napi_env env_;
  // Keeps node-llama-cpp's model object, and with it the llama_model, from being collected.
  Napi::ObjectReference model_object_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<RankPrompt> rank_prompt_;
  std::unique_ptr<Outbox<EmbedEvent>> outbox_;
  std::shared_ptr<Embedder> embedder_;
  std::shared_ptr<UseCount> uses_ = std::make_shared<UseCount>();
};
