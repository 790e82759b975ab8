// Module registration, nothing else.
#include <napi.h>

#include "embedder_wrap.h"
#include "engine_wrap.h"
#include "reply_parser_wrap.h"

static Napi::Object Init(Napi::Env env, Napi::Object exports) {
  exports.Set("Embedder", EmbedderWrap::Define(env));
  exports.Set("Engine", EngineWrap::Define(env));
  exports.Set("ReplyParser", ReplyParserWrap::Define(env));
  exports.Set("nodeLlamaCppVersion", NODE_LLAMA_CPP_VERSION);
  return exports;
}

NODE_API_MODULE(NODE_GYP_MODULE_NAME, Init)
