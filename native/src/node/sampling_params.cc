#include "node/sampling_params.h"

#include <common/sampling.h>

#include "node/option_reader.h"

common_params_sampling SamplingFrom(const Napi::Object& options) {
  common_params_sampling params;
  const OptionReader read(options);
  read("temperature", &params.temp);
  read("topP", &params.top_p);
  read("topK", &params.top_k);
  read("minP", &params.min_p);
  read("typicalP", &params.typ_p);
  read("minKeep", &params.min_keep);
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
    params.grammar = {COMMON_GRAMMAR_TYPE_USER,
                      options.Get("grammar").As<Napi::String>().Utf8Value()};
  }
  return params;
}

Napi::Object SamplingToJs(Napi::Env env, const common_params_sampling& params) {
  Napi::Object result = Napi::Object::New(env);
  result.Set("seed", params.seed);
  result.Set("temperature", params.temp);
  result.Set("dynatemp_range", params.dynatemp_range);
  result.Set("dynatemp_exponent", params.dynatemp_exponent);
  result.Set("top_k", params.top_k);
  result.Set("top_p", params.top_p);
  result.Set("min_p", params.min_p);
  result.Set("top_n_sigma", params.top_n_sigma);
  result.Set("xtc_probability", params.xtc_probability);
  result.Set("xtc_threshold", params.xtc_threshold);
  result.Set("typical_p", params.typ_p);
  result.Set("repeat_last_n", params.penalty_last_n);
  result.Set("repeat_penalty", params.penalty_repeat);
  result.Set("presence_penalty", params.penalty_present);
  result.Set("frequency_penalty", params.penalty_freq);
  result.Set("dry_multiplier", params.dry_multiplier);
  result.Set("dry_base", params.dry_base);
  result.Set("dry_allowed_length", params.dry_allowed_length);
  result.Set("dry_penalty_last_n", params.dry_penalty_last_n);
  Napi::Array breakers = Napi::Array::New(env, params.dry_sequence_breakers.size());
  for (uint32_t i = 0; i < breakers.Length(); ++i) {
    breakers.Set(i, params.dry_sequence_breakers[i]);
  }
  result.Set("dry_sequence_breakers", breakers);
  result.Set("mirostat", params.mirostat);
  result.Set("mirostat_tau", params.mirostat_tau);
  result.Set("mirostat_eta", params.mirostat_eta);
  result.Set("adaptive_target", params.adaptive_target);
  result.Set("adaptive_decay", params.adaptive_decay);
  result.Set("ignore_eos", params.ignore_eos);
  result.Set("min_keep", params.min_keep);
  Napi::Array biases = Napi::Array::New(env, params.logit_bias.size());
  for (uint32_t i = 0; i < biases.Length(); ++i) {
    Napi::Object entry = Napi::Object::New(env);
    entry.Set("bias", params.logit_bias[i].bias);
    entry.Set("token", params.logit_bias[i].token);
    biases.Set(i, entry);
  }
  result.Set("logit_bias", biases);
  Napi::Array samplers = Napi::Array::New(env, params.samplers.size());
  for (uint32_t i = 0; i < samplers.Length(); ++i) {
    samplers.Set(i, common_sampler_type_to_str(params.samplers[i]));
  }
  result.Set("samplers", samplers);
  result.Set("grammar", params.grammar.grammar);
  return result;
}
