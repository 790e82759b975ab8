// Work on a thread of libuv's pool, as a JavaScript promise. The error of a refused request has the
// field that it is about as `param`.
#pragma once

#include <napi.h>

#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "core/error.h"

template <class Result>
class PromiseWorker : public Napi::AsyncWorker {
 public:
  using Work = std::function<Result()>;
  using ToJs = std::function<Napi::Value(Napi::Env, Result)>;

  PromiseWorker(Napi::Env env, Work work, ToJs to_js)
      : Napi::AsyncWorker(env, "llama-gguf-inference worker"),
        deferred_(Napi::Promise::Deferred::New(env)),
        work_(std::move(work)),
        to_js_(std::move(to_js)) {}

  Napi::Promise promise() const { return deferred_.Promise(); }

  void Execute() override {
    try {
      result_ = work_();
    } catch (const RequestRefusal& refusal) {
      param_ = refusal.param();
      SetError(refusal.what());
    } catch (const std::exception& error) {
      // An empty error would count as success.
      SetError(error.what()[0] == '\0' ? "no reason was given" : error.what());
    } catch (...) {
      SetError("an exception of unknown type");
    }
    work_ = nullptr;
  }

  void OnOK() override {
    const Napi::HandleScope scope(Env());
    deferred_.Resolve(to_js_(Env(), std::move(*result_)));
  }

  void OnError(const Napi::Error& error) override {
    const Napi::HandleScope scope(Env());
    if (!param_.empty()) error.Set("param", param_);
    deferred_.Reject(error.Value());
  }

 private:
  Napi::Promise::Deferred deferred_;
  Work work_;
  ToJs to_js_;
  std::optional<Result> result_;
  // Of a refused request; else empty.
  std::string param_;
};

// Runs `work` on a worker thread, where it and its captures are destroyed as well. `to_js` runs on
// the JavaScript thread.
template <class Result>
Napi::Promise RunOnWorker(Napi::Env env, typename PromiseWorker<Result>::Work work,
                          typename PromiseWorker<Result>::ToJs to_js) {
  // Deletes itself when the promise is settled.
  auto* worker = new PromiseWorker<Result>(env, std::move(work), std::move(to_js));
  const Napi::Promise promise = worker->promise();
  worker->Queue();
  return promise;
}
