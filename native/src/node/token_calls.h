// Calls of every object with a model: text to tokens and back, on a worker thread. The model must
// outlive `use`.
#pragma once

#include <napi.h>

#include <memory>
#include <vector>

#include "llama/model.h"

std::vector<llama_token> TokensFrom(const Napi::Int32Array& array);
Napi::Int32Array TokensToJs(Napi::Env env, const std::vector<llama_token>& tokens);

// `tokenize(text, addSpecial, parseSpecial)`: a promise of an Int32Array.
Napi::Promise TokenizeCall(const Napi::CallbackInfo& info, const Model* model,
                           std::shared_ptr<void> use);

// `detokenize(tokens)`: a promise of a Buffer.
Napi::Promise DetokenizeCall(const Napi::CallbackInfo& info, const Model* model,
                             std::shared_ptr<void> use);
