// Prompts as JavaScript holds them: an opaque handle and its properties.
#pragma once

#include <napi.h>

#include <memory>

#include "chat/chat.h"

// `{tokenCount, structured, handle}`; `structured` is true if replies need a ReplyParser.
Napi::Object WrapPrompt(Napi::Env env, Prompt prompt);

// The prompt behind a handle. Throws a TypeError for anything else.
std::shared_ptr<const Prompt> PromptOf(const Napi::Value& handle);
