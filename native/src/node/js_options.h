// JavaScript objects to the engine's structs. TypeScript has validated the values; a wrong type
// here is a defect of the program and throws a TypeError that names the option.
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

// Reads the options that EngineOptions::VisitOptions names; other properties have no effect.
EngineOptions EngineOptionsFrom(const Napi::Object& options);

// The names of all options of an engine.
std::vector<std::string> EngineOptionNames();

// Reads the options that EmbedderOptions::VisitOptions names.
EmbedderOptions EmbedderOptionsFrom(const Napi::Object& options);

// Fields that are absent keep llama.cpp's defaults.
common_params_sampling SamplingFrom(const Napi::Object& options);

// None for undefined.
std::optional<LogprobOptions> LogprobOptionsFrom(const Napi::Value& value);

std::vector<std::string> StringsFrom(const Napi::Array& strings);
