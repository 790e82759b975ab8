// A chat to a prompt handle, on a worker thread, as a JavaScript promise.
#pragma once

#include <napi.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>

#include "chat.h"

// How many workers use the vocabulary, which goes away with the model.
class UseCount {
 public:
  void Enter();
  void Leave();
  void WaitForNone();

 private:
  std::mutex mutex_;
  std::condition_variable none_;
  int count_ = 0;
};

// Resolves with `{tokenCount, structured, handle}`; `structured` says that a ReplyParser has to
// take the reply apart. `request` is what Chat::Prepare takes. `chat` must outlive the use that
// `uses` counts.
Napi::Promise PrepareChatPrompt(Napi::Env env, const Chat* chat, std::string request,
                                std::shared_ptr<UseCount> uses);

// The prompt behind a handle. Throws a TypeError for anything else.
std::shared_ptr<const Prompt> PromptOf(const Napi::Value& handle);
