// JavaScript objects to the engine's structs. Values were validated in TypeScript; a wrong type
// here is a bug of ours and throws a TypeError.
#pragma once

#include <napi.h>

#include <string>
#include <vector>

#include "context.h"
#include "messages.h"

// The llama_model behind a node-llama-cpp `LlamaModel`'s `_model`. Reads the object's memory by the
// layout of the pinned release.
llama_model* BorrowModel(const Napi::Object& addon_model);

// Everything but `model`.
ContextOptions ContextOptionsFrom(const Napi::Object& options);

// Milliseconds a step may take while somebody decodes.
double StepTargetFrom(const Napi::Object& options);

// Fields that are absent keep llama.cpp's defaults.
common_params_sampling SamplingFrom(const Napi::Object& options);

std::vector<std::string> StringsFrom(const Napi::Array& strings);
