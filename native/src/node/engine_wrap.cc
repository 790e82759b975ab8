#include "node/engine_wrap.h"

#include <utility>

#include "core/live_threads.h"
#include "node/js_options.h"
#include "node/promise_worker.h"
#include "node/prompt_handle.h"
#include "node/token_calls.h"

namespace {

std::string StringAt(const Napi::CallbackInfo& info, size_t index) {
  return info[index].As<Napi::String>().Utf8Value();
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
  outbox_ = std::make_unique<Outbox<Event>>(info.Env(), info[1].As<Napi::Function>());
  engine_ = std::make_shared<Engine>(
      model_.get(), engine_options,
      [outbox = outbox_.get()](std::vector<Event> events) { outbox->Put(std::move(events)); });
  LiveThreads::Get().Add(engine_);
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
  result.Set("tools", chat_->chat_template().supports_tools());
  result.Set("thinking", chat_->chat_template().supports_thinking());
  result.Set("thinksByDefault", chat_->chat_template().thinks_by_default());
  return result;
}

Napi::Promise EngineWrap::PrepareOnWorker(PromiseWorker<Prompt>::Work work) {
  RequireOpen();
  return OnWorker<Prompt>(std::move(work),
                          [coming = engine_->Announce()](Napi::Env env, Prompt prompt) {
                            return WrapPrompt(env, std::move(prompt));
                          });
}

Napi::Value EngineWrap::PrepareChat(const Napi::CallbackInfo& info) {
  return PrepareOnWorker(
      [chat = chat_.get(), request = StringAt(info, 0)] { return chat->Prepare(request); });
}

Napi::Value EngineWrap::PrepareText(const Napi::CallbackInfo& info) {
  return PrepareOnWorker([model = model_.get(), text = StringAt(info, 0)] {
    return PlainPrompt(model->Tokenize(text, true));
  });
}

Napi::Value EngineWrap::PrepareInfill(const Napi::CallbackInfo& info) {
  return PrepareOnWorker(
      [model = model_.get(), prefix = StringAt(info, 0), suffix = StringAt(info, 1)] {
        return PlainPrompt(model->TokenizeInfill(prefix, suffix));
      });
}

Napi::Value EngineWrap::PrepareTokens(const Napi::CallbackInfo& info) {
  return PrepareOnWorker(
      [tokens = TokensFrom(info[0].As<Napi::Int32Array>())] { return PlainPrompt(tokens); });
}

Napi::Value EngineWrap::RenderChat(const Napi::CallbackInfo& info) {
  return OnWorker<std::string>(
      [chat = chat_.get(), request = StringAt(info, 0)] { return chat->Render(request); },
      [](Napi::Env env, std::string text) { return Napi::String::New(env, text); });
}

Napi::Value EngineWrap::Tokenize(const Napi::CallbackInfo& info) {
  RequireOpen();
  return TokenizeCall(info, model_.get(), uses_);
}

Napi::Value EngineWrap::Detokenize(const Napi::CallbackInfo& info) {
  RequireOpen();
  return DetokenizeCall(info, model_.get(), uses_);
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
      .scoring = ScoringFrom(info[6]),
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
  result.Set("stepCount", static_cast<double>(stats.n_steps));
  result.Set("recomputedTokenCount", static_cast<double>(stats.n_recomputed_tokens));
  result.Set("laneTokenCount", static_cast<double>(stats.n_lane_tokens));
  result.Set("sampledTokenCount", static_cast<double>(stats.n_sampled_tokens));
  result.Set("prefixHitCount", static_cast<double>(stats.n_prefix_hits));
  result.Set("pausedSequenceCount", static_cast<double>(stats.n_paused));
  result.Set("movedSequenceCount", static_cast<double>(stats.n_moved));
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
  LiveThreads::Get().Remove(engine_);
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
