#include "engine_wrap.h"

#include <cstdlib>
#include <set>
#include <utility>

#include "js_options.h"
#include "promise_worker.h"
#include "prompt_handle.h"

namespace {

// Engines whose thread runs. `process.exit` does not run Node's cleanup hooks on the main thread,
// and the libraries' own destructors must not find a thread that still computes.
class LiveEngines {
 public:
  static LiveEngines& Get() {
    // Registered when the first engine is built, which is after the backends were loaded: exit
    // handlers run in reverse order, this one before theirs. Never destroyed, so that it outlives
    // every engine.
    static auto* const instance = [] {
      std::atexit([] { Get().CloseAll(); });
      return new LiveEngines;
    }();
    return *instance;
  }

  void Add(std::shared_ptr<Engine> engine) {
    const std::lock_guard lock(mutex_);
    engines_.insert(std::move(engine));
  }

  void Remove(const std::shared_ptr<Engine>& engine) {
    const std::lock_guard lock(mutex_);
    engines_.erase(engine);
  }

 private:
  void CloseAll() {
    std::set<std::shared_ptr<Engine>> engines;
    {
      const std::lock_guard lock(mutex_);
      engines.swap(engines_);
    }
    for (const auto& engine : engines) engine->RequestClose();
    for (const auto& engine : engines) engine->Join();
  }

  std::mutex mutex_;
  std::set<std::shared_ptr<Engine>> engines_;
};

std::string StringAt(const Napi::CallbackInfo& info, size_t index) {
  return info[index].As<Napi::String>().Utf8Value();
}

std::vector<llama_token> TokensFrom(const Napi::Int32Array& array) {
  return {array.Data(), array.Data() + array.ElementLength()};
}

Prompt PlainPrompt(std::vector<llama_token> tokens) {
  if (tokens.empty()) throw std::runtime_error("the prompt has no tokens");
  Prompt prompt;
  prompt.tokens = std::move(tokens);
  return prompt;
}

SequenceId IdFrom(const Napi::Value& value) {
  return static_cast<SequenceId>(value.As<Napi::Number>().Int64Value());
}

}  // namespace

Napi::Function EngineWrap::Define(Napi::Env env) {
  return DefineClass(env, "Engine",
                     {
                         StaticMethod<&EngineWrap::DraftProblem>("draftProblem"),
                         InstanceMethod<&EngineWrap::Abilities>("abilities"),
                         InstanceMethod<&EngineWrap::PrepareChat>("prepareChat"),
                         InstanceMethod<&EngineWrap::PrepareText>("prepareText"),
                         InstanceMethod<&EngineWrap::PrepareInfill>("prepareInfill"),
                         InstanceMethod<&EngineWrap::PrepareTokens>("prepareTokens"),
                         InstanceMethod<&EngineWrap::RenderChat>("renderChat"),
                         InstanceMethod<&EngineWrap::Tokenize>("tokenize"),
                         InstanceMethod<&EngineWrap::Detokenize>("detokenize"),
                         InstanceMethod<&EngineWrap::Submit>("submit"),
                         InstanceMethod<&EngineWrap::Cancel>("cancel"),
                         InstanceMethod<&EngineWrap::Hold>("hold"),
                         InstanceMethod<&EngineWrap::KeepAlive>("keepAlive"),
                         InstanceMethod<&EngineWrap::Stats>("stats"),
                         InstanceMethod<&EngineWrap::RequestClose>("requestClose"),
                         InstanceMethod<&EngineWrap::Release>("release"),
                     });
}

EngineWrap::EngineWrap(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<EngineWrap>(info), env_(info.Env()) {
  const auto options = info[0].As<Napi::Object>();
  const EngineOptions engine_options = EngineOptionsFrom(options);

  model_ = std::make_unique<Model>(engine_options.context.model);
  chat_ = std::make_unique<Chat>(model_.get(),
                                 options.Get("chatTemplate").As<Napi::String>().Utf8Value());
  model_object_ = Napi::Persistent(options.Get("model").As<Napi::Object>());
  if (engine_options.drafts.model != nullptr) {
    const auto speculative = options.Get("speculative").As<Napi::Object>();
    draft_model_object_ = Napi::Persistent(speculative.Get("model").As<Napi::Object>());
  }
  outbox_ = std::make_unique<Outbox>(info.Env(), info[1].As<Napi::Function>());
  engine_ = std::make_shared<Engine>(
      model_.get(), engine_options,
      [outbox = outbox_.get()](std::vector<Event> events) { outbox->Put(std::move(events)); });
  LiveEngines::Get().Add(engine_);
  napi_add_env_cleanup_hook(env_, &EngineWrap::ReleaseAtExit, this);
}

EngineWrap::~EngineWrap() { ReleaseNow(); }

template <class Result>
Napi::Promise EngineWrap::OnWorker(typename PromiseWorker<Result>::Work work,
                                   typename PromiseWorker<Result>::ToJs to_js) {
  RequireOpen();
  return RunOnWorker<Result>(
      Env(), [work = std::move(work), use = NewUse(uses_)] { return work(); }, std::move(to_js));
}

Napi::Value EngineWrap::DraftProblem(const Napi::CallbackInfo& info) {
  const llama_model* model = BorrowModel(info[0].As<Napi::Object>());
  const llama_model* draft = BorrowModel(info[1].As<Napi::Object>());
  return Napi::String::New(info.Env(), ::DraftProblem(model, draft));
}

Napi::Value EngineWrap::Abilities(const Napi::CallbackInfo& info) {
  RequireOpen();
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("vocabularySize", model_->n_vocab());
  result.Set("infill", model_->can_infill());
  result.Set("tools", chat_->knows_tools());
  result.Set("thinking", chat_->knows_thinking());
  result.Set("thinksByDefault", chat_->thinks_by_default());
  return result;
}

Napi::Value EngineWrap::PrepareChat(const Napi::CallbackInfo& info) {
  return OnWorker<Prompt>(
      [chat = chat_.get(), request = StringAt(info, 0)] { return chat->Prepare(request); },
      WrapPrompt);
}

Napi::Value EngineWrap::PrepareText(const Napi::CallbackInfo& info) {
  return OnWorker<Prompt>(
      [model = model_.get(), text = StringAt(info, 0)] {
        return PlainPrompt(model->Tokenize(text, true));
      },
      WrapPrompt);
}

Napi::Value EngineWrap::PrepareInfill(const Napi::CallbackInfo& info) {
  return OnWorker<Prompt>(
      [model = model_.get(), prefix = StringAt(info, 0), suffix = StringAt(info, 1)] {
        return PlainPrompt(model->TokenizeInfill(prefix, suffix));
      },
      WrapPrompt);
}

Napi::Value EngineWrap::PrepareTokens(const Napi::CallbackInfo& info) {
  return OnWorker<Prompt>(
      [tokens = TokensFrom(info[0].As<Napi::Int32Array>())] { return PlainPrompt(tokens); },
      WrapPrompt);
}

Napi::Value EngineWrap::RenderChat(const Napi::CallbackInfo& info) {
  return OnWorker<std::string>(
      [chat = chat_.get(), request = StringAt(info, 0)] { return chat->Render(request); },
      [](Napi::Env env, std::string text) { return Napi::String::New(env, text); });
}

Napi::Value EngineWrap::Tokenize(const Napi::CallbackInfo& info) {
  using Tokens = std::vector<llama_token>;
  return OnWorker<Tokens>(
      [model = model_.get(), text = StringAt(info, 0),
       add_special = info[1].As<Napi::Boolean>().Value(),
       parse_special = info[2].As<Napi::Boolean>().Value()] {
        return model->Tokenize(text, add_special, parse_special);
      },
      [](Napi::Env env, Tokens tokens) {
        auto array = Napi::Int32Array::New(env, tokens.size());
        std::copy(tokens.begin(), tokens.end(), array.Data());
        return array;
      });
}

Napi::Value EngineWrap::Detokenize(const Napi::CallbackInfo& info) {
  return OnWorker<std::string>(
      [model = model_.get(), tokens = TokensFrom(info[0].As<Napi::Int32Array>())] {
        return model->Detokenize(tokens, true);
      },
      [](Napi::Env env, std::string text) {
        return Napi::Buffer<char>::Copy(env, text.data(), text.size());
      });
}

void EngineWrap::Submit(const Napi::CallbackInfo& info) {
  RequireOpen();
  const std::shared_ptr<const Prompt> prompt = PromptOf(info[1]);
  common_params_sampling sampling = SamplingFrom(info[4].As<Napi::Object>());
  prompt->Constrain(&sampling);
  engine_->Post(::Submit{
      .id = IdFrom(info[0]),
      .prompt = prompt,
      .max_tokens = info[2].As<Napi::Number>().Int32Value(),
      .stops = StringsFrom(info[3].As<Napi::Array>()),
      .sampling = std::move(sampling),
      .cache_scope = StringAt(info, 5),
      .submitted_at = Clock::now(),
  });
}

void EngineWrap::Cancel(const Napi::CallbackInfo& info) {
  if (engine_) engine_->Post(::Cancel{IdFrom(info[0])});
}

void EngineWrap::Hold(const Napi::CallbackInfo& info) {
  if (engine_) engine_->Post(::Hold{IdFrom(info[0]), info[1].As<Napi::Boolean>().Value()});
}

void EngineWrap::KeepAlive(const Napi::CallbackInfo& info) {
  if (outbox_) outbox_->KeepAlive(info.Env(), info[0].As<Napi::Boolean>().Value());
}

Napi::Value EngineWrap::Stats(const Napi::CallbackInfo& info) {
  RequireOpen();
  const EngineStats stats = engine_->stats();
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("decodeCallCount", static_cast<double>(stats.n_decode_calls));
  result.Set("decodedTokenCount", static_cast<double>(stats.n_decoded_tokens));
  result.Set("prefilledTokenCount", static_cast<double>(stats.n_prefilled_tokens));
  result.Set("cachedTokenCount", static_cast<double>(stats.n_cached_tokens));
  result.Set("recomputedTokenCount", static_cast<double>(stats.n_recomputed_tokens));
  result.Set("sampledTokenCount", static_cast<double>(stats.n_sampled_tokens));
  result.Set("prefixHitCount", static_cast<double>(stats.n_prefix_hits));
  result.Set("pausedSequenceCount", static_cast<double>(stats.n_paused));
  result.Set("draftCount", static_cast<double>(stats.n_drafts));
  result.Set("draftedTokenCount", static_cast<double>(stats.n_drafted_tokens));
  result.Set("acceptedTokenCount", static_cast<double>(stats.n_accepted_tokens));
  auto by_place = Napi::Array::New(info.Env(), stats.n_accepted_by_place.size());
  for (size_t i = 0; i < stats.n_accepted_by_place.size(); ++i) {
    by_place.Set(static_cast<uint32_t>(i), static_cast<double>(stats.n_accepted_by_place[i]));
  }
  result.Set("acceptedTokenCountByPlace", by_place);
  result.Set("stepMs", stats.step_ms);
  result.Set("decodeMs", stats.decode_ms);
  result.Set("samplingMs", stats.sampling_ms);
  result.Set("runningCount", stats.n_running);
  result.Set("waitingCount", stats.n_waiting);
  result.Set("usedKvTokenCount", stats.n_used_kv_tokens);
  result.Set("keptKvTokenCount", stats.n_kept_kv_tokens);
  result.Set("keptPrefixCount", stats.n_kept_prefixes);
  return result;
}

void EngineWrap::RequestClose(const Napi::CallbackInfo&) {
  if (engine_) engine_->RequestClose();
}

void EngineWrap::Release(const Napi::CallbackInfo&) { ReleaseNow(); }

void EngineWrap::ReleaseAtExit(void* self) { static_cast<EngineWrap*>(self)->ReleaseNow(); }

void EngineWrap::ReleaseNow() {
  if (!engine_) return;
  napi_remove_env_cleanup_hook(env_, &EngineWrap::ReleaseAtExit, this);
  LiveEngines::Get().Remove(engine_);
  engine_->RequestClose();
  engine_->Join();
  engine_.reset();
  uses_->WaitForNone();
  outbox_.reset();
  chat_.reset();
  model_.reset();
  model_object_.Reset();
  draft_model_object_.Reset();
}

void EngineWrap::RequireOpen() const {
  if (!engine_) throw Napi::Error::New(Env(), "the engine is closed");
}
