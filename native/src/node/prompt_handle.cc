#include "node/prompt_handle.h"

#include <cstdint>
#include <utility>

namespace {

using PromptHolder = std::shared_ptr<const Prompt>;

// Marks the prompts of this addon, so that no other External is mistaken for one.
constexpr napi_type_tag kPromptTag{0x6c67692d70726f6d, 0x70742d68616e646c};

Napi::External<PromptHolder> NewHandle(Napi::Env env, PromptHolder prompt) {
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

}  // namespace

Napi::Object WrapPrompt(Napi::Env env, Prompt prompt) {
  Napi::Object result = Napi::Object::New(env);
  result.Set("tokenCount", static_cast<double>(prompt.tokens.size()));
  result.Set("structured", prompt.format != nullptr);
  if (prompt.cut) result.Set("cut", true);
  result.Set("handle", NewHandle(env, std::make_shared<const Prompt>(std::move(prompt))));
  return result;
}

std::shared_ptr<const Prompt> PromptOf(const Napi::Value& handle) {
  auto external = handle.As<Napi::External<PromptHolder>>();
  if (!handle.IsExternal() || !external.CheckTypeTag(&kPromptTag)) {
    throw Napi::TypeError::New(handle.Env(), "not a prompt that this engine prepared");
  }
  return *external.Data();
}
