#include "node/embedder_wrap.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "node/js_options.h"
#include "node/option_reader.h"
#include "node/promise_worker.h"
#include "node/token_calls.h"

namespace {

using InputsHolder = std::shared_ptr<const EmbedInputs>;

// Marks the inputs of this addon, so that no other External is mistaken for one.
constexpr napi_type_tag kInputsTag{0x6c67692d656d6265, 0x642d696e70757473};

// Inputs, or the reason why there are none.
struct Prepared {
  InputsHolder inputs = {};
  std::optional<InputError> problem = {};
};

Prepared PrepareSafely(const std::function<EmbedInputs()>& prepare) {
  try {
    return {.inputs = std::make_shared<const EmbedInputs>(prepare())};
  } catch (const InputError& error) {
    return {.problem = error};
  }
}

Napi::Value PreparedToJs(Napi::Env env, Prepared prepared) {
  Napi::Object result = Napi::Object::New(env);
  if (prepared.problem) {
    result.Set("failedIndex", prepared.problem->index());
    result.Set("reason", prepared.problem->what());
    return result;
  }
  const auto& tokens = prepared.inputs->tokens;
  auto counts = Napi::Int32Array::New(env, tokens.size());
  int64_t n_bytes = 0;
  for (size_t i = 0; i < tokens.size(); ++i) {
    counts[i] = static_cast<int32_t>(tokens[i].size());
    n_bytes += static_cast<int64_t>(tokens[i].size() * sizeof(llama_token));
  }
  Napi::MemoryManagement::AdjustExternalMemory(env, n_bytes);
  auto handle = Napi::External<InputsHolder>::New(env, new InputsHolder(std::move(prepared.inputs)),
                                                  [n_bytes](Napi::Env env, InputsHolder* holder) {
                                                    Napi::MemoryManagement::AdjustExternalMemory(
                                                        env, -n_bytes);
                                                    delete holder;
                                                  });
  handle.TypeTag(&kInputsTag);
  result.Set("tokenCounts", counts);
  result.Set("handle", handle);
  return result;
}

InputsHolder InputsOf(const Napi::Value& handle) {
  auto external = handle.As<Napi::External<InputsHolder>>();
  if (!handle.IsExternal() || !external.CheckTypeTag(&kInputsTag)) {
    throw Napi::TypeError::New(handle.Env(), "not inputs that this embedder prepared");
  }
  return *external.Data();
}

std::vector<RawInput> RawInputsFrom(const Napi::Array& array) {
  std::vector<RawInput> inputs;
  inputs.reserve(array.Length());
  for (uint32_t i = 0; i < array.Length(); ++i) {
    const Napi::Value input = array.Get(i);
    if (input.IsString()) {
      inputs.emplace_back(input.As<Napi::String>().Utf8Value());
    } else {
      inputs.emplace_back(TokensFrom(input.As<Napi::Int32Array>()));
    }
  }
  return inputs;
}

}  // namespace

Napi::Function EmbedderWrap::Define(Napi::Env env) {
  return DefineThread(env, "Embedder",
                      {
                          StaticMethod<&EmbedderWrap::Capabilities>("capabilities"),
                          InstanceMethod<&EmbedderWrap::Prepare>("prepare"),
                          InstanceMethod<&EmbedderWrap::PrepareRanking>("prepareRanking"),
                          InstanceMethod<&EmbedderWrap::Submit>("submit"),
                      });
}

EmbedderWrap::EmbedderWrap(const Napi::CallbackInfo& info) : ThreadWrap(info) {
  const auto options = info[0].As<Napi::Object>();
  const EmbedderOptions embedder_options = EmbedderOptionsFrom(options);
  auto resources = std::make_unique<EmbedderResources>(embedder_options.context.model);
  if (embedder_options.context.pooling == Pooling::kRank) {
    resources->rank_prompt.emplace(&resources->model);
    if (!resources->rank_prompt->known()) {
      throw Napi::Error::New(info.Env(),
                             "the vocabulary has no token that ends or separates texts, so that a "
                             "query and a document cannot be joined");
    }
  }
  resources->model_object = Napi::Persistent(options.Get("model").As<Napi::Object>());
  Start(std::move(resources), info[1].As<Napi::Function>(), embedder_options);
}

// What is known of a model without a context for it.
Napi::Value EmbedderWrap::Capabilities(const Napi::CallbackInfo& info) {
  const llama_model* model = BorrowModel(info[0].As<Napi::Object>());
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("vocabularySize", llama_vocab_n_tokens(llama_model_get_vocab(model)));
  result.Set("width", llama_model_n_embd_out(model));
  result.Set("classCount", llama_model_n_cls_out(model));
  return result;
}

Napi::Value EmbedderWrap::Prepare(const Napi::CallbackInfo& info) {
  return RunOnWorker<Prepared>(
      Env(),
      [model = &resources().model, use = Use(), raw = RawInputsFrom(info[0].As<Napi::Array>()),
       max_tokens = info[1].As<Napi::Number>().Int32Value()] {
        return PrepareSafely([&] { return PrepareInputs(*model, raw, max_tokens); });
      },
      PreparedToJs);
}

Napi::Value EmbedderWrap::PrepareRanking(const Napi::CallbackInfo& info) {
  const std::optional<RankPrompt>& rank_prompt = resources().rank_prompt;
  if (!rank_prompt) throw Napi::Error::New(Env(), "this embedder does not rank");
  return RunOnWorker<Prepared>(
      Env(),
      [prompt = &*rank_prompt, use = Use(), query = info[0].As<Napi::String>().Utf8Value(),
       documents = StringsFrom(info[1].As<Napi::Array>())] {
        return PrepareSafely([&] { return prompt->Prepare(query, documents); });
      },
      PreparedToJs);
}

void EmbedderWrap::Submit(const Napi::CallbackInfo& info) {
  thread().Send(Embed{
      .id = RequestIdFrom(info[0]),
      .inputs = InputsOf(info[1]),
      .n_dimensions = info[2].As<Napi::Number>().Int32Value(),
      .submitted_at = Clock::now(),
  });
}
