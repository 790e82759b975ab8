// Module registration, and the functions and constants that belong to no class.
#include <napi.h>

#include "kernels/cpu_kernels.h"
#include "llama.h"
#include "llama/cuda_driver.h"
#include "llama/memory_limits.h"
#include "node/embedder_wrap.h"
#include "node/engine_wrap.h"
#include "node/js_options.h"
#include "node/reply_parser_wrap.h"
#include "node/sampling_params.h"
#include "node/stats_js.h"

static Napi::Value GetCudaDriver(const Napi::CallbackInfo& info) {
  const std::optional<CudaDriver> driver = FindCudaDriver();
  if (!driver) return info.Env().Null();
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("version", driver->version);
  Napi::Array capabilities = Napi::Array::New(info.Env(), driver->capabilities.size());
  for (size_t i = 0; i < driver->capabilities.size(); ++i) {
    capabilities[static_cast<uint32_t>(i)] = driver->capabilities[i];
  }
  result.Set("capabilities", capabilities);
  return result;
}

static Napi::Value CallInstallCpuKernels(const Napi::CallbackInfo& info) {
  const char* name = InstallCpuKernels();
  return name == nullptr ? info.Env().Null() : Napi::String::New(info.Env(), name);
}

static Napi::Value DescribeSampling(const Napi::CallbackInfo& info) {
  return SamplingToJs(info.Env(), SamplingFrom(info[0].As<Napi::Object>()));
}

// Frozen, so that no caller can change them for another.
static Napi::Object Limits(Napi::Env env) {
  Napi::Object limits = Napi::Object::New(env);
  limits.Set("maxSequenceCount", static_cast<double>(llama_max_parallel_sequences()));
  limits.Set("statesPerSlot", kStatesPerSlot);
  limits.Set("spareStates", kSpareStates);
  limits.Set("maxMovedBytes", static_cast<double>(kMaxMovedBytes));
  limits.Set("maxEmbeddingLogits", static_cast<double>(kMaxEmbeddingLogits));
  limits.Set("minEmbeddingBatchSize", kEmbeddingSequences);
  limits.Freeze();
  return limits;
}

// Names, so that a test can compare them with the settings.
static Napi::Array OptionNames(Napi::Env env) {
  const std::vector<std::string> names = EngineOptionNames();
  Napi::Array result = Napi::Array::New(env, names.size());
  for (size_t i = 0; i < names.size(); ++i) result.Set(static_cast<uint32_t>(i), names[i]);
  return result;
}

static Napi::Object Init(Napi::Env env, Napi::Object exports) {
  exports.Set("Embedder", EmbedderWrap::Define(env));
  exports.Set("Engine", EngineWrap::Define(env));
  exports.Set("engineOptionNames", OptionNames(env));
  exports.Set("ReplyParser", ReplyParserWrap::Define(env));
  exports.Set("describeSampling", Napi::Function::New<DescribeSampling>(env, "describeSampling"));
  exports.Set("cudaDriver", Napi::Function::New<GetCudaDriver>(env, "cudaDriver"));
  exports.Set("installCpuKernels",
              Napi::Function::New<CallInstallCpuKernels>(env, "installCpuKernels"));
  exports.Set("limits", Limits(env));
  exports.Set("nodeLlamaCppVersion", NODE_LLAMA_CPP_VERSION);
  exports.Set("statistics", StatisticsToJs(env));
  return exports;
}

NODE_API_MODULE(NODE_GYP_MODULE_NAME, Init)
