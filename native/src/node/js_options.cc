#include "node/js_options.h"

#include <common/sampling.h>

// Declares the class whose `model` is borrowed; comes with node-llama-cpp.
#include <AddonModel.h>

#include <stdexcept>

namespace {

void Require(bool is_of_type, const Napi::Value& value, const char* name, const char* type) {
  if (is_of_type) return;
  throw Napi::TypeError::New(value.Env(), std::string(name) + " must be " + type);
}

Napi::Number NumberFrom(const Napi::Value& value, const char* name) {
  Require(value.IsNumber(), value, name, "a number");
  return value.As<Napi::Number>();
}

std::string StringFrom(const Napi::Value& value, const char* name) {
  Require(value.IsString(), value, name, "a string");
  return value.As<Napi::String>().Utf8Value();
}

Napi::Array ArrayFrom(const Napi::Value& value, const char* name) {
  Require(value.IsArray(), value, name, "an array");
  return value.As<Napi::Array>();
}

Napi::Object ObjectFrom(const Napi::Value& value, const char* name) {
  Require(value.IsObject(), value, name, "an object");
  return value.As<Napi::Object>();
}

// Read(value, name, field) assigns a JavaScript value to a field, for each type that options have.

void Read(const Napi::Value& value, const char* name, float* field) {
  *field = NumberFrom(value, name).FloatValue();
}

void Read(const Napi::Value& value, const char* name, double* field) {
  *field = NumberFrom(value, name).DoubleValue();
}

void Read(const Napi::Value& value, const char* name, int32_t* field) {
  *field = NumberFrom(value, name).Int32Value();
}

void Read(const Napi::Value& value, const char* name, uint32_t* field) {
  *field = NumberFrom(value, name).Uint32Value();
}

void Read(const Napi::Value& value, const char* name, bool* field) {
  Require(value.IsBoolean(), value, name, "a boolean");
  *field = value.As<Napi::Boolean>().Value();
}

void Read(const Napi::Value& value, const char* name, std::vector<std::string>* field) {
  *field = StringsFrom(ArrayFrom(value, name));
}

// Processors.
void Read(const Napi::Value& value, const char* name, std::vector<int32_t>* field) {
  const Napi::Array numbers = ArrayFrom(value, name);
  for (uint32_t i = 0; i < numbers.Length(); ++i) {
    const int32_t processor = NumberFrom(numbers.Get(i), name).Int32Value();
    if (processor < 0 || processor >= GGML_MAX_N_THREADS) {
      throw std::invalid_argument("there is no processor " + std::to_string(processor));
    }
    field->push_back(processor);
  }
}

void Read(const Napi::Value& value, const char* name, ggml_type* field) {
  const std::string type = StringFrom(value, name);
  for (int i = 0; i < GGML_TYPE_COUNT; ++i) {
    const char* type_name = ggml_type_name(static_cast<ggml_type>(i));
    if (type_name == nullptr || type != type_name) continue;
    *field = static_cast<ggml_type>(i);
    return;
  }
  throw std::invalid_argument("unknown cache type " + type);
}

void Read(const Napi::Value& value, const char* name, llama_flash_attn_type* field) {
  const std::string setting = StringFrom(value, name);
  *field = setting == "on"    ? LLAMA_FLASH_ATTN_TYPE_ENABLED
           : setting == "off" ? LLAMA_FLASH_ATTN_TYPE_DISABLED
                              : LLAMA_FLASH_ATTN_TYPE_AUTO;
}

// `auto` is split: Context shares one cache all the same where a slot lacks room for a sequence.
void Read(const Napi::Value& value, const char* name, KvLayout* field) {
  *field = StringFrom(value, name) == "unified" ? KvLayout::kUnified : KvLayout::kSplit;
}

void Read(const Napi::Value& value, const char* name, Pooling* field) {
  const std::string pooling = StringFrom(value, name);
  if (pooling == "mean") {
    *field = Pooling::kMean;
  } else if (pooling == "cls") {
    *field = Pooling::kCls;
  } else if (pooling == "last") {
    *field = Pooling::kLast;
  } else if (pooling == "rank") {
    *field = Pooling::kRank;
  } else {
    throw std::invalid_argument("unknown pooling " + pooling);
  }
}

void Read(const Napi::Value& value, const char* name, DraftKind* field) {
  *field = StringFrom(value, name) == "draft" ? DraftKind::kModel : DraftKind::kNgram;
}

void Read(const Napi::Value& value, const char* name, llama_model** field) {
  *field = BorrowModel(ObjectFrom(value, name));
}

void Read(const Napi::Value& value, const char* name, DraftOptions* field);

// Assigns properties of an object to fields. An absent or undefined property leaves the field as it
// is, so that a struct's own defaults apply.
class OptionReader {
 public:
  explicit OptionReader(Napi::Object object) : object_(object) {}

  template <class Field>
  void operator()(const char* name, Field* field) const {
    const Napi::Value value = object_.Get(name);
    if (!value.IsUndefined()) Read(value, name, field);
  }

 private:
  const Napi::Object object_;
};

void Read(const Napi::Value& value, const char* name, DraftOptions* field) {
  field->VisitOptions(OptionReader(ObjectFrom(value, name)));
}

}  // namespace

llama_model* BorrowModel(const Napi::Object& addon_model) {
  llama_model* model = Napi::ObjectWrap<AddonModel>::Unwrap(addon_model)->model;
  if (model == nullptr) throw std::invalid_argument("the model is not loaded, or was disposed");
  return model;
}

EmbedderOptions EmbedderOptionsFrom(const Napi::Object& options) {
  EmbedderOptions result;
  result.VisitOptions(OptionReader(options));
  return result;
}

EngineOptions EngineOptionsFrom(const Napi::Object& options) {
  EngineOptions result;
  result.VisitOptions(OptionReader(options));
  return result;
}

std::vector<std::string> EngineOptionNames() {
  std::vector<std::string> names;
  EngineOptions().VisitOptions([&](const char* name, auto*) { names.emplace_back(name); });
  return names;
}

common_params_sampling SamplingFrom(const Napi::Object& options) {
  common_params_sampling params;
  const OptionReader read(options);
  read("temperature", &params.temp);
  read("topP", &params.top_p);
  read("topK", &params.top_k);
  read("minP", &params.min_p);
  read("typicalP", &params.typ_p);
  read("topNSigma", &params.top_n_sigma);
  read("xtcProbability", &params.xtc_probability);
  read("xtcThreshold", &params.xtc_threshold);
  read("dynatempRange", &params.dynatemp_range);
  read("dynatempExponent", &params.dynatemp_exponent);
  read("repeatLastN", &params.penalty_last_n);
  read("repeatPenalty", &params.penalty_repeat);
  read("frequencyPenalty", &params.penalty_freq);
  read("presencePenalty", &params.penalty_present);
  read("dryMultiplier", &params.dry_multiplier);
  read("dryBase", &params.dry_base);
  read("dryAllowedLength", &params.dry_allowed_length);
  read("dryPenaltyLastN", &params.dry_penalty_last_n);
  read("adaptiveTarget", &params.adaptive_target);
  read("adaptiveDecay", &params.adaptive_decay);
  read("mirostat", &params.mirostat);
  read("mirostatTau", &params.mirostat_tau);
  read("mirostatEta", &params.mirostat_eta);
  read("seed", &params.seed);
  read("ignoreEos", &params.ignore_eos);
  read("drySequenceBreakers", &params.dry_sequence_breakers);
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
    params.grammar = {COMMON_GRAMMAR_TYPE_USER, StringFrom(options.Get("grammar"), "grammar")};
  }
  return params;
}

std::optional<LogprobOptions> LogprobOptionsFrom(const Napi::Value& value) {
  if (value.IsUndefined()) return std::nullopt;
  LogprobOptions logprobs;
  const OptionReader read(value.As<Napi::Object>());
  read("topCount", &logprobs.n_top);
  read("prompt", &logprobs.prompt);
  return logprobs;
}

std::vector<std::string> StringsFrom(const Napi::Array& strings) {
  std::vector<std::string> result;
  result.reserve(strings.Length());
  for (uint32_t i = 0; i < strings.Length(); ++i) {
    result.push_back(strings.Get(i).As<Napi::String>().Utf8Value());
  }
  return result;
}
