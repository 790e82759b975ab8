// Calls that every object with a model offers to JavaScript: text to tokens and back, on a worker
// thread. The model must live as long as `uses` counts.
#pragma once

#include <napi.h>

#include <memory>
#include <vector>

#include "core/use_count.h"
#include "llama/model.h"

std::vector<llama_token> TokensFrom(const Napi::Int32Array& array);

// `tokenize(text, addSpecial, parseSpecial)`: a promise of an Int32Array.
Napi::Promise TokenizeCall(const Napi::CallbackInfo& info, const Model* model,
                           const std::shared_ptr<UseCount>& uses);

// `detokenize(tokens)`: a promise of a Buffer.
Napi::Promise DetokenizeCall(const Napi::CallbackInfo& info, const Model* model,
                             const std::shared_ptr<UseCount>& uses);
