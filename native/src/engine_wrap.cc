#include "engine_wrap.h"

#include <cstdlib>
#include <set>
#include <utility>

#include "js_options.h"

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

SequenceId IdFrom(const Napi::Value& value) {
  return static_cast<SequenceId>(value.As<Napi::Number>().Int64Value());
}

}  // namespace

Napi::Function EngineWrap::Define(Napi::Env env) {
  return DefineClass(env, "Engine",
                     {
                         InstanceMethod<&EngineWrap::ChatAbilities>("chatAbilities"),
                         InstanceMethod<&EngineWrap::VocabularySize>("vocabularySize"),
                         InstanceMethod<&EngineWrap::PrepareChat>("prepareChat"),
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
  const auto addon_model = options.Get("model").As<Napi::Object>();
  ContextOptions context_options = ContextOptionsFrom(options);
  context_options.model = BorrowModel(addon_model);

  model_ = std::make_unique<Model>(context_options.model);
  chat_ = std::make_unique<Chat>(model_.get(),
                                 options.Get("chatTemplate").As<Napi::String>().Utf8Value());
  model_object_ = Napi::Persistent(addon_model);
  outbox_ = std::make_unique<Outbox>(info.Env(), info[1].As<Napi::Function>());
  engine_ = std::make_shared<Engine>(
      model_.get(), context_options,
      [outbox = outbox_.get()](std::vector<Event> events) { outbox->Put(std::move(events)); });
  LiveEngines::Get().Add(engine_);
  napi_add_env_cleanup_hook(env_, &EngineWrap::ReleaseAtExit, this);
}

EngineWrap::~EngineWrap() { ReleaseNow(); }

Napi::Value EngineWrap::ChatAbilities(const Napi::CallbackInfo& info) {
  RequireOpen();
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("tools", chat_->knows_tools());
  result.Set("thinking", chat_->knows_thinking());
  result.Set("thinksByDefault", chat_->thinks_by_default());
  return result;
}

Napi::Value EngineWrap::VocabularySize(const Napi::CallbackInfo& info) {
  RequireOpen();
  return Napi::Number::New(info.Env(), model_->n_vocab());
}

Napi::Value EngineWrap::PrepareChat(const Napi::CallbackInfo& info) {
  RequireOpen();
  return PrepareChatPrompt(info.Env(), chat_.get(), info[0].As<Napi::String>().Utf8Value(), uses_);
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
  result.Set("sampledTokenCount", static_cast<double>(stats.n_sampled_tokens));
  result.Set("pausedSequenceCount", static_cast<double>(stats.n_evicted));
  result.Set("runningCount", stats.n_running);
  result.Set("waitingCount", stats.n_waiting);
  result.Set("usedKvTokenCount", stats.n_used_kv_tokens);
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
}

void EngineWrap::RequireOpen() const {
  if (!engine_) throw Napi::Error::New(Env(), "the engine is closed");
}
