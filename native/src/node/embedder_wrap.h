// The embedder as JavaScript sees it: `new Embedder(options, onEvents)`. src/engine/addon.ts
// declares the methods and their arguments.
#pragma once

#include <napi.h>

#include <optional>

#include "engine/embed_inputs.h"
#include "engine/embedder.h"
#include "llama/model.h"
#include "node/thread_wrap.h"

struct EmbedderResources {
  explicit EmbedderResources(llama_model* llama) : model(llama) {}

  // Keeps node-llama-cpp's model object, and with it the llama_model, from being collected.
  Napi::ObjectReference model_object;
  Model model;
  // Only of a ranking embedder.
  std::optional<RankPrompt> rank_prompt;
};

class EmbedderWrap : public ThreadWrap<EmbedderWrap, Embedder, EmbedderResources> {
 public:
  static constexpr char kClosed[] = "the embedder is closed";

  static Napi::Function Define(Napi::Env env);

  explicit EmbedderWrap(const Napi::CallbackInfo& info);

 private:
  static Napi::Value Capabilities(const Napi::CallbackInfo& info);
  Napi::Value Prepare(const Napi::CallbackInfo& info);
  Napi::Value PrepareRanking(const Napi::CallbackInfo& info);
  void Submit(const Napi::CallbackInfo& info);
};
