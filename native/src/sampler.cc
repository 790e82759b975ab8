#include "sampler.h"

#include <common/sampling.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "model.h"

namespace {

// Dividing logits by less overflows.
constexpr float kLeastTemperature = 1e-6f;

// Measured against the greedy pass: llama.cpp's samplers copy the vocabulary and sort a part of
// it; a grammar that refuses the first choice walks all of it.
constexpr int32_t kSamplerPasses = 10;
constexpr int32_t kGrammarPasses = 100;
// All sequences wait while one is sampled: a grammar that needs so long is given up.
constexpr std::chrono::seconds kLongestSample{3};

// Whether the sampler chain would always end at the token with the highest logit. What only cuts
// the tail (top-k, top-p, min-p, top-n-sigma) or rescales (temperature) does not matter then; what
// can move or drop the head does.
bool IsGreedy(const common_params_sampling& params) {
  const auto& samplers = params.samplers;
  const bool penalised =
      params.penalty_last_n != 0 && (params.penalty_repeat != 1.0f || params.penalty_freq != 0.0f ||
                                     params.penalty_present != 0.0f);
  const bool cools = std::find(samplers.begin(), samplers.end(), COMMON_SAMPLER_TYPE_TEMPERATURE) !=
                     samplers.end();
  return cools && params.temp <= 0.0f && params.dynatemp_range == 0.0f && !penalised &&
         params.dry_multiplier == 0.0f && params.xtc_probability == 0.0f && params.typ_p >= 1.0f &&
         params.mirostat == 0 && params.adaptive_target < 0.0f && params.grammar.empty() &&
         params.logit_bias.empty() && params.reasoning_budget_start.empty();
}

// Index of the highest value; of equal ones, the first. Lanes keep the pass free of branches, so
// that the compiler vectorises it: a vocabulary is 30k to 250k values, read once a step for each
// sequence.
int32_t ArgMax(const float* values, int32_t n) {
  constexpr int32_t kLanes = 16;
  std::array<float, kLanes> best;
  best.fill(-std::numeric_limits<float>::infinity());
  int32_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int32_t lane = 0; lane < kLanes; ++lane) {
      best[lane] = values[i + lane] > best[lane] ? values[i + lane] : best[lane];
    }
  }
  float highest = *std::max_element(best.begin(), best.end());
  for (; i < n; ++i) highest = std::max(highest, values[i]);
  const float* found = std::find(values, values + n, highest);
  return found == values + n ? -1 : static_cast<int32_t>(found - values);
}

}  // namespace

void Sampler::Deleter::operator()(common_sampler* sampler) const { common_sampler_free(sampler); }

Sampler::Sampler(const Model* model, common_params_sampling params,
                 const std::vector<llama_token>& prompt)
    : model_(model) {
  // llama.cpp ends the process over a grammar of this kind, which it was built without.
  if (common_grammar_value(params.grammar).starts_with("%llguidance")) {
    throw std::invalid_argument("%llguidance grammars are not supported");
  }
  if (params.temp < kLeastTemperature) params.temp = 0.0f;
  if (IsGreedy(params)) {
    excluded_ = model->suppressed_tokens();
    if (params.ignore_eos) {
      const auto& ends = model->end_of_generation_tokens();
      excluded_.insert(excluded_.end(), ends.begin(), ends.end());
    }
    return;
  }
  params.no_perf = true;
  // A grammar that is complete allows the end alone; forbidding it would leave nothing.
  if (params.ignore_eos && params.grammar.empty()) {
    for (const llama_token token : model->end_of_generation_tokens()) {
      params.logit_bias.push_back({token, -INFINITY});
    }
  }
  effort_ = params.grammar.empty() ? kSamplerPasses : kGrammarPasses;
  sampler_.reset(common_sampler_init(model->get(), params));
  if (!sampler_) throw std::runtime_error("the sampler could not be created");
  ShowPrompt(params, prompt);
}

// Penalties look back into the prompt as well.
void Sampler::ShowPrompt(const common_params_sampling& params,
                         const std::vector<llama_token>& prompt) {
  const auto reach = [&](int32_t n_last) { return n_last < 0 ? prompt.size() : size_t(n_last); };
  const size_t n = std::min(
      prompt.size(), std::max(reach(params.penalty_last_n), reach(params.dry_penalty_last_n)));
  for (size_t i = prompt.size() - n; i < prompt.size(); ++i) {
    common_sampler_accept(sampler_.get(), prompt[i], false);
  }
}

llama_token Sampler::SampleInTime(llama_context* context, int32_t batch_index) {
  llama_synchronize(context);
  const auto begin = std::chrono::steady_clock::now();
  const llama_token token = common_sampler_sample(sampler_.get(), context, batch_index);
  // llama.cpp ends the process over an end of generation that its grammar does not allow.
  const llama_token_data_array* candidates =
      common_sampler_get_candidates(sampler_.get(), /*do_sort=*/false);
  if (!(candidates->data[candidates->selected].logit > -INFINITY)) {
    throw std::runtime_error("no token is left that may follow");
  }
  if (std::chrono::steady_clock::now() - begin > kLongestSample) {
    throw std::runtime_error("the grammar takes too long for one token");
  }
  return token;
}

Sampler::~Sampler() = default;
Sampler::Sampler(Sampler&&) noexcept = default;

llama_token Sampler::Sample(llama_context* context, int32_t batch_index) {
  if (sampler_) {
    const llama_token token = SampleInTime(context, batch_index);
    common_sampler_accept(sampler_.get(), token, true);
    return token;
  }
  float* logits = llama_get_logits_ith(context, batch_index);
  if (logits == nullptr) throw std::runtime_error("the step left no logits");
  for (const llama_token token : excluded_) logits[token] = -INFINITY;
  const int32_t token = ArgMax(logits, model_->n_vocab());
  if (token < 0) throw std::runtime_error("the model computed no usable logits (NaN)");
  return token;
}
