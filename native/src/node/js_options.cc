#include "node/js_options.h"

#include <common/sampling.h>

// Declares the class whose `model` is borrowed; comes with node-llama-cpp.
#include <AddonModel.h>

#include <stdexcept>

namespace {

// Assigns a property to its field unless it is absent.
void Read(const Napi::Object& object, const char* key, float* field) {
  const Napi::Value value = object.Get(key);
  if (!value.IsUndefined()) *field = value.As<Napi::Number>().FloatValue();
}

void Read(const Napi::Object& object, const char* key, int32_t* field) {
  const Napi::Value value = object.Get(key);
  if (!value.IsUndefined()) *field = value.As<Napi::Number>().Int32Value();
}

void Read(const Napi::Object& object, const char* key, uint32_t* field) {
  const Napi::Value value = object.Get(key);
  if (!value.IsUndefined()) *field = value.As<Napi::Number>().Uint32Value();
}

void Read(const Napi::Object& object, const char* key, bool* field) {
  const Napi::Value value = object.Get(key);
  if (!value.IsUndefined()) *field = value.As<Napi::Boolean>().Value();
}

std::string String(const Napi::Object& object, const char* key) {
  return object.Get(key).As<Napi::String>().Utf8Value();
}

ggml_type CacheType(const std::string& name) {
  for (int i = 0; i < GGML_TYPE_COUNT; ++i) {
    const auto type = static_cast<ggml_type>(i);
    const char* type_name = ggml_type_name(type);
    if (type_name != nullptr && name == type_name) return type;
  }
  throw std::invalid_argument("unknown cache type " + name);
}

llama_flash_attn_type FlashAttention(const std::string& name) {
  if (name == "on") return LLAMA_FLASH_ATTN_TYPE_ENABLED;
  if (name == "off") return LLAMA_FLASH_ATTN_TYPE_DISABLED;
  return LLAMA_FLASH_ATTN_TYPE_AUTO;
}

Pooling PoolingNamed(const std::string& name) {
  if (name == "mean") return Pooling::kMean;
  if (name == "cls") return Pooling::kCls;
  if (name == "last") return Pooling::kLast;
  if (name == "rank") return Pooling::kRank;
  throw std::invalid_argument("unknown pooling " + name);
}

std::vector<int32_t> ProcessorsFrom(const Napi::Array& numbers) {
  std::vector<int32_t> processors;
  for (uint32_t i = 0; i < numbers.Length(); ++i) {
    const int32_t processor = numbers.Get(i).As<Napi::Number>().Int32Value();
    if (processor < 0 || processor >= GGML_MAX_N_THREADS) {
      throw std::invalid_argument("there is no processor " + std::to_string(processor));
    }
    processors.push_back(processor);
  }
  return processors;
}

DraftOptions DraftOptionsFrom(const Napi::Object& options) {
  DraftOptions result;
  if (!options.Has("speculative")) return result;
  const auto speculative = options.Get("speculative").As<Napi::Object>();
  result.kind = String(speculative, "kind") == "draft" ? DraftKind::kModel : DraftKind::kNgram;
  Read(speculative, "minTokens", &result.n_min);
  Read(speculative, "maxTokens", &result.n_max);
  Read(speculative, "ngramSize", &result.n_gram);
  Read(speculative, "minProbability", &result.p_min);
  if (result.kind == DraftKind::kModel) {
    result.model = BorrowModel(speculative.Get("model").As<Napi::Object>());
  }
  return result;
}

ContextOptions ContextOptionsFrom(const Napi::Object& options) {
  ContextOptions result;
  Read(options, "slotCount", &result.n_slots);
  Read(options, "contextLength", &result.n_ctx);
  Read(options, "kvTokenCount", &result.n_kv_tokens);
  if (String(options, "kvLayout") == "split") result.kv_layout = KvLayout::kSplit;
  Read(options, "batchSize", &result.n_batch);
  Read(options, "ubatchSize", &result.n_ubatch);
  Read(options, "threadCount", &result.n_threads);
  Read(options, "threadPoll", &result.poll);
  result.processors = ProcessorsFrom(options.Get("processors").As<Napi::Array>());
  result.flash_attention = FlashAttention(String(options, "flashAttention"));
  result.cache_type_k = CacheType(String(options, "cacheTypeK"));
  result.cache_type_v = CacheType(String(options, "cacheTypeV"));
  Read(options, "promptLane", &result.prompt_lane);
  return result;
}

}  // namespace

llama_model* BorrowModel(const Napi::Object& addon_model) {
  llama_model* model = Napi::ObjectWrap<AddonModel>::Unwrap(addon_model)->model;
  if (model == nullptr) throw std::invalid_argument("the model is not loaded, or was disposed");
  return model;
}

EmbedderOptions EmbedderOptionsFrom(const Napi::Object& options) {
  EmbedderOptions result;
  EmbedContextOptions& context = result.context;
  context.model = BorrowModel(options.Get("model").As<Napi::Object>());
  context.pooling = PoolingNamed(String(options, "pooling"));
  Read(options, "contextLength", &context.n_ctx);
  Read(options, "wholeInputs", &context.whole_inputs);
  Read(options, "ubatchSize", &context.n_ubatch);
  Read(options, "threadCount", &context.n_threads);
  Read(options, "threadPoll", &context.poll);
  context.processors = ProcessorsFrom(options.Get("processors").As<Napi::Array>());
  context.flash_attention = FlashAttention(String(options, "flashAttention"));
  context.cache_type_k = CacheType(String(options, "cacheTypeK"));
  context.cache_type_v = CacheType(String(options, "cacheTypeV"));
  Read(options, "niceness", &result.niceness);
  return result;
}

EngineOptions EngineOptionsFrom(const Napi::Object& options) {
  EngineOptions result;
  result.context = ContextOptionsFrom(options);
  result.context.model = BorrowModel(options.Get("model").As<Napi::Object>());
  result.step_target_ms = options.Get("stepTargetMs").As<Napi::Number>().DoubleValue();
  result.text_interval_ms = options.Get("textIntervalMs").As<Napi::Number>().DoubleValue();
  Read(options, "samplingThreadCount", &result.n_sampling_threads);
  result.drafts = DraftOptionsFrom(options);
  return result;
}

common_params_sampling SamplingFrom(const Napi::Object& options) {
  common_params_sampling params;
  Read(options, "temperature", &params.temp);
  Read(options, "topP", &params.top_p);
  Read(options, "topK", &params.top_k);
  Read(options, "minP", &params.min_p);
  Read(options, "typicalP", &params.typ_p);
  Read(options, "topNSigma", &params.top_n_sigma);
  Read(options, "xtcProbability", &params.xtc_probability);
  Read(options, "xtcThreshold", &params.xtc_threshold);
  Read(options, "dynatempRange", &params.dynatemp_range);
  Read(options, "dynatempExponent", &params.dynatemp_exponent);
  Read(options, "repeatLastN", &params.penalty_last_n);
  Read(options, "repeatPenalty", &params.penalty_repeat);
  Read(options, "frequencyPenalty", &params.penalty_freq);
  Read(options, "presencePenalty", &params.penalty_present);
  Read(options, "dryMultiplier", &params.dry_multiplier);
  Read(options, "dryBase", &params.dry_base);
  Read(options, "dryAllowedLength", &params.dry_allowed_length);
  Read(options, "dryPenaltyLastN", &params.dry_penalty_last_n);
  Read(options, "adaptiveTarget", &params.adaptive_target);
  Read(options, "adaptiveDecay", &params.adaptive_decay);
  Read(options, "mirostat", &params.mirostat);
  Read(options, "mirostatTau", &params.mirostat_tau);
  Read(options, "mirostatEta", &params.mirostat_eta);
  Read(options, "seed", &params.seed);
  Read(options, "ignoreEos", &params.ignore_eos);
  if (options.Has("drySequenceBreakers")) {
    params.dry_sequence_breakers =
        StringsFrom(options.Get("drySequenceBreakers").As<Napi::Array>());
  }
  if (options.Has("samplers")) {
    params.samplers =
        common_sampler_types_from_names(StringsFrom(options.Get("samplers").As<Napi::Array>()));
  }
  if (options.Has("logitBias")) {
    const auto biases = options.Get("logitBias").As<Napi::Array>();
    for (uint32_t i = 0; i < biases.Length(); ++i) {
      const auto pair = biases.Get(i).As<Napi::Array>();
      params.logit_bias.push_back({pair.Get(0u).As<Napi::Number>().Int32Value(),
                                   pair.Get(1u).As<Napi::Number>().FloatValue()});
    }
  }
  if (options.Has("grammar")) {
    params.grammar = {COMMON_GRAMMAR_TYPE_USER, String(options, "grammar")};
  }
  return params;
}

std::optional<Scoring> ScoringFrom(const Napi::Value& value) {
  if (value.IsUndefined()) return std::nullopt;
  const auto options = value.As<Napi::Object>();
  Scoring scoring;
  Read(options, "topCount", &scoring.n_top);
  Read(options, "prompt", &scoring.prompt);
  return scoring;
}

std::vector<std::string> StringsFrom(const Napi::Array& strings) {
  std::vector<std::string> result;
  result.reserve(strings.Length());
  for (uint32_t i = 0; i < strings.Length(); ++i) {
    result.push_back(strings.Get(i).As<Napi::String>().Utf8Value());
  }
  return result;
}
