#include "prepare_worker.h"

#include <exception>
#include <utility>

namespace {

using PromptHolder = std::shared_ptr<const Prompt>;

// Marks the prompts this addon made, so that no other External is taken for one.
constexpr napi_type_tag kPromptTag{0x6c67692d70726f6d, 0x70742d68616e646c};

Napi::External<PromptHolder> WrapPrompt(Napi::Env env, PromptHolder prompt) {
  const auto n_bytes = static_cast<int64_t>(prompt->tokens.size() * sizeof(llama_token));
  Napi::MemoryManagement::AdjustExternalMemory(env, n_bytes);
  auto external = Napi::External<PromptHolder>::New(
      env, new PromptHolder(std::move(prompt)), [n_bytes](Napi::Env env, PromptHolder* holder) {
        Napi::MemoryManagement::AdjustExternalMemory(env, -n_bytes);
        delete holder;
      });
  external.TypeTag(&kPromptTag);
  return external;
}

// Renders and tokenizes on a worker thread.
class PrepareWorker : public Napi::AsyncWorker {
 public:
  PrepareWorker(Napi::Env env, const Chat* chat, std::string request,
                std::shared_ptr<UseCount> uses)
      : Napi::AsyncWorker(env, "llama-gguf-inference prepare"),
        deferred_(Napi::Promise::Deferred::New(env)),
        chat_(chat),
        request_(std::move(request)),
        uses_(std::move(uses)) {
    uses_->Enter();
  }

  Napi::Promise promise() const { return deferred_.Promise(); }

  void Execute() override {
    try {
      prompt_ = std::make_shared<const Prompt>(chat_->Prepare(request_));
    } catch (const std::exception& error) {
      // An empty error would count as success.
      SetError(error.what()[0] == '\0' ? "no reason was given" : error.what());
    } catch (...) {
      SetError("an exception of unknown type");
    }
    request_ = {};
    uses_->Leave();
  }

  void OnOK() override {
    const Napi::HandleScope scope(Env());
    Napi::Object result = Napi::Object::New(Env());
    result.Set("tokenCount", static_cast<double>(prompt_->tokens.size()));
    result.Set("structured", prompt_->format != nullptr);
    result.Set("handle", WrapPrompt(Env(), std::move(prompt_)));
    deferred_.Resolve(result);
  }

  void OnError(const Napi::Error& error) override { deferred_.Reject(error.Value()); }

 private:
  Napi::Promise::Deferred deferred_;
  const Chat* chat_;
  std::string request_;
  std::shared_ptr<UseCount> uses_;
  PromptHolder prompt_;
};

}  // namespace

void UseCount::Enter() {
  const std::lock_guard lock(mutex_);
  ++count_;
}

void UseCount::Leave() {
  const std::lock_guard lock(mutex_);
  if (--count_ == 0) none_.notify_all();
}

void UseCount::WaitForNone() {
  std::unique_lock lock(mutex_);
  none_.wait(lock, [this] { return count_ == 0; });
}

Napi::Promise PrepareChatPrompt(Napi::Env env, const Chat* chat, std::string request,
                                std::shared_ptr<UseCount> uses) {
  // Deletes itself when it is done.
  auto* worker = new PrepareWorker(env, chat, std::move(request), std::move(uses));
  const Napi::Promise promise = worker->promise();
  worker->Queue();
  return promise;
}

std::shared_ptr<const Prompt> PromptOf(const Napi::Value& handle) {
  auto external = handle.As<Napi::External<PromptHolder>>();
  if (!handle.IsExternal() || !external.CheckTypeTag(&kPromptTag)) {
    throw Napi::TypeError::New(handle.Env(), "not a prompt that this engine prepared");
  }
  return *external.Data();
}
