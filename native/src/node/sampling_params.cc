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
