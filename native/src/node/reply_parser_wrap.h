// A ReplyParser as JavaScript sees it: `new ReplyParser(promptHandle)`. Its `push` runs on a worker
// thread. src/engine/addon.ts declares arguments and result.
#pragma once

#include <napi.h>

#include <memory>

#include "chat/reply_parser.h"

class ReplyParserWrap : public Napi::ObjectWrap<ReplyParserWrap> {
 public:
  static Napi::Function Define(Napi::Env env);

  explicit ReplyParserWrap(const Napi::CallbackInfo& info);

 private:
  Napi::Value Push(const Napi::CallbackInfo& info);

  // Shared with the worker, which may outlive this object.
  std::shared_ptr<ReplyParser> parser_;
};
