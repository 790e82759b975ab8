// The sampling parameters of a request (src/engine/sampling-params.ts) as llama.cpp's samplers take
// them. A parameter that can change the likeliest token must also appear in Sampler's checks of
// greedy sampling (llama/sampler.cc).
#pragma once

#include <common/common.h>
#include <napi.h>

// Fields that are absent keep llama.cpp's defaults.
common_params_sampling SamplingFrom(const Napi::Object& options);

// The parameters under the names of llama-server.
Napi::Object SamplingToJs(Napi::Env env, const common_params_sampling& params);
