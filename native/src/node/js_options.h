// JavaScript objects to the engine's structs. Values were validated in TypeScript; a wrong type
// here is a bug of ours and throws a TypeError.
#pragma once

#include <napi.h>

#include <optional>
#include <string>
#include <vector>

#include "engine/embedder.h"
#include "engine/engine.h"
#include "engine/messages.h"

// The llama_model behind a node-llama-cpp `LlamaModel`'s `_model`, read by the memory layout of the
// pinned release. Throws std::exception when there is none any more.
llama_model* BorrowModel(const Napi::Object& addon_model);

// What an engine is built with; src/engine/addon.ts lists the keys.
EngineOptions EngineOptionsFrom(const Napi::Object& options);

// What an embedder is built with, likewise.
EmbedderOptions EmbedderOptionsFrom(const Napi::Object& options);

// Fields that are absent keep llama.cpp's defaults.
common_params_sampling SamplingFrom(const Napi::Object& options);

// None for undefined.
std::optional<LogprobOptions> LogprobOptionsFrom(const Napi::Value& value);

std::vector<std::string> StringsFrom(const Napi::Array& strings);
