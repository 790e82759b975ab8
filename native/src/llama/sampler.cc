#include "llama/sampler.h"

#include <common/sampling.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <stdexcept>

#include "core/error.h"
#include "llama/lazy_grammar.h"
#include "llama/model.h"

namespace {

// Dividing logits by less overflows.
constexpr float kMinTemperature = 1e-6f;

// Measured against the greedy pass: llama.cpp's samplers copy the vocabulary and sort a part of
// it; a grammar that refuses the first choice walks all of it.
constexpr int32_t kSamplerPasses = 10;
constexpr int32_t kGrammarPasses = 100;
constexpr int32_t kTopPasses = 2;
constexpr int32_t kRulePasses = 1;
// All sequences wait while one is sampled: a grammar that needs so long is given up.
constexpr std::chrono::seconds kMaxSample{3};

bool IsPenalised(const common_params_sampling& params) {
  return params.penalty_last_n != 0 &&
         (params.penalty_repeat != 1.0f || params.penalty_freq != 0.0f ||
          params.penalty_present != 0.0f);
}

// Whether the sampler chain would always end at the token with the highest logit. What only cuts
// the tail (top-k, top-p, min-p, top-n-sigma) or rescales (temperature) does not matter then; what
// can move or drop the head does.
bool IsGreedy(const common_params_sampling& params) {
  const auto& samplers = params.samplers;
  const auto has = [&](common_sampler_type type) {
    return std::ranges::find(samplers, type) != samplers.end();
  };
  return has(COMMON_SAMPLER_TYPE_TEMPERATURE) && !has(COMMON_SAMPLER_TYPE_INFILL) &&
         params.temp <= 0.0f && params.dynatemp_range == 0.0f && !IsPenalised(params) &&
         params.dry_multiplier == 0.0f && params.xtc_probability == 0.0f && params.typ_p >= 1.0f &&
         params.mirostat == 0 && params.adaptive_target < 0.0f && params.grammar.empty() &&
         params.logit_bias.empty() && params.reasoning_budget_start.empty();
}

// Whether llama.cpp watches for a thought that takes too long.
bool HasBudget(const common_params_sampling& params) {
  return !params.reasoning_budget_start.empty() &&
         (params.reasoning_budget_tokens >= 0 || params.grammar_lazy || params.reasoning_control);
}

// To how many tokens the sampler chain cuts the vocabulary before anything has changed the logits;
// 0 where it does not. From these tokens the chain then chooses as it would from all.
int32_t FirstCut(const common_params_sampling& params) {
  constexpr int32_t kMaxTop = 256;
  const bool chooses_otherwise =
      params.mirostat != 0 || !params.grammar.empty() || HasBudget(params);
  const bool biased = std::ranges::any_of(
      params.logit_bias, [](const llama_logit_bias& each) { return each.bias != -INFINITY; });
  if (chooses_otherwise || biased || params.top_k < 1 || params.top_k > kMaxTop) return 0;
  for (const common_sampler_type sampler : params.samplers) {
    switch (sampler) {
      case COMMON_SAMPLER_TYPE_TOP_K:
        return params.top_k;
      case COMMON_SAMPLER_TYPE_PENALTIES:
        if (IsPenalised(params)) return 0;
        break;
      case COMMON_SAMPLER_TYPE_DRY:
        if (params.dry_multiplier != 0.0f) return 0;
        break;
      case COMMON_SAMPLER_TYPE_TOP_N_SIGMA:
        if (params.top_n_sigma > 0.0f) return 0;
        break;
      default:
        return 0;
    }
  }
  return 0;
}

}  // namespace

void Sampler::Deleter::operator()(common_sampler* sampler) const { common_sampler_free(sampler); }

Sampler::Sampler(const Model* model, common_params_sampling params, const SamplerPrompt& prompt,
                 TokenRuleOptions rules)
    : model_(model) {
  PrepareSamplers(std::move(params), prompt);
  auto token_rules =
      std::make_unique<TokenRules>(std::move(rules), model->end_of_generation_tokens());
  if (token_rules->is_empty()) return;
  rules_ = std::move(token_rules);
  effort_ += kRulePasses;
}

void Sampler::PrepareSamplers(common_params_sampling params, const SamplerPrompt& prompt) {
  // llama.cpp ends the process over a grammar of this kind, which it was built without.
  if (common_grammar_value(params.grammar).starts_with("%llguidance")) {
    throw std::invalid_argument("%llguidance grammars are not supported");
  }
  if (params.temp < kMinTemperature) params.temp = 0.0f;
  if (IsGreedy(params)) {
    excluded_ = model_->suppressed_tokens();
    if (params.ignore_eos) {
      const auto& ends = model_->end_of_generation_tokens();
      excluded_.insert(excluded_.end(), ends.begin(), ends.end());
    }
    return;
  }
  params.no_perf = true;
  // A grammar that is complete allows the end alone; forbidding it would leave nothing.
  if (params.ignore_eos && params.grammar.empty()) {
    for (const llama_token token : model_->end_of_generation_tokens()) {
      params.logit_bias.push_back({token, -INFINITY});
    }
  }
  effort_ = params.grammar.empty() ? kSamplerPasses : kGrammarPasses;
  n_top_ = FirstCut(params);
  if (n_top_ > 0) {
    effort_ = kTopPasses;
    excluded_ = model_->suppressed_tokens();
    for (const llama_logit_bias& each : params.logit_bias) {
      if (each.token >= 0 && each.token < model_->n_vocab()) excluded_.push_back(each.token);
    }
  }
  const bool feeds_header = !params.grammar_lazy && common_grammar_needs_prefill(params.grammar);
  if (params.grammar_lazy && !params.grammar.empty()) {
    calls_ = std::make_unique<LazyGrammar>(model_, params, prompt.reasoning);
    params.grammar = {};
  }
  // llama.cpp would take control texts of the client within it for control tokens.
  if (feeds_header) params.generation_prompt.clear();
  sampler_.reset(common_sampler_init(model_->get(), params));
  if (!sampler_) throw std::runtime_error("the sampler could not be created");
  if (feeds_header) FeedHeader(prompt.header);
  ShowPrompt(params, prompt.tokens);
}

void Sampler::FeedHeader(const std::vector<llama_token>& header) {
  for (const llama_token token : header) {
    // llama.cpp ends the process over an end of generation that its grammar does not allow.
    if (model_->IsEndOfGeneration(token)) {
      throw std::invalid_argument("the reply begins with a token that ends it");
    }
    common_sampler_accept(sampler_.get(), token, true);
  }
  // Penalties see the tokens of the prompt, once.
  llama_sampler_reset(common_sampler_get(sampler_.get()));
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
  if (!(candidates->data[candidates->selected].logit > -INFINITY))
    ThrowNoToken(context, batch_index);
  if (std::chrono::steady_clock::now() - begin > kMaxSample) {
    throw std::runtime_error("the grammar takes too long for one token");
  }
  return token;
}

llama_token Sampler::SampleFromTop(llama_context* context, int32_t batch_index) {
  candidates_.clear();
  for (const auto& [token, logit] : top_.Find(Logits(context, batch_index), n_top_)) {
    candidates_.push_back({token, logit, 0.0f});
  }
  if (candidates_.empty()) ThrowNoToken(context, batch_index);
  llama_token_data_array candidates{candidates_.data(), candidates_.size(), -1, /*sorted=*/true};
  llama_sampler_apply(common_sampler_get(sampler_.get()), &candidates);
  const bool chosen =
      candidates.selected >= 0 && static_cast<size_t>(candidates.selected) < candidates.size;
  if (!chosen) throw std::runtime_error("no token was chosen");
  return candidates.data[candidates.selected].id;
}

llama_token Sampler::ChooseLikeliest(llama_context* context, int32_t batch_index) {
  const auto best = top_.Find(Logits(context, batch_index), 1);
  if (best.empty()) ThrowNoToken(context, batch_index);
  return best.front().token;
}

void Sampler::ThrowNoToken(llama_context* context, int32_t batch_index) const {
  const std::span<float> row = Row(context, batch_index);
  if (std::any_of(row.begin(), row.end(), [](float logit) { return std::isnan(logit); })) {
    throw std::runtime_error("the model computed no usable logits (NaN)");
  }
  throw NoTokenLeft();
}

std::span<float> Sampler::Row(llama_context* context, int32_t batch_index) const {
  float* logits = llama_get_logits_ith(context, batch_index);
  if (logits == nullptr) throw std::runtime_error("the step left no logits");
  return {logits, static_cast<size_t>(model_->n_vocab())};
}

std::span<float> Sampler::Logits(llama_context* context, int32_t batch_index) const {
  const std::span<float> row = Row(context, batch_index);
  for (const llama_token token : excluded_) row[static_cast<size_t>(token)] = -INFINITY;
  return row;
}

Sampler::~Sampler() = default;
Sampler::Sampler(Sampler&&) noexcept = default;

llama_token Sampler::Sample(llama_context* context, int32_t batch_index) {
  if (!rules_) return Choose(context, batch_index);
  const std::span<float> row = Row(context, batch_index);
  rules_->Mask(row);
  llama_token token = 0;
  try {
    token = Choose(context, batch_index);
  } catch (const NoTokenLeft&) {
    // A grammar that is complete allows the end alone.
    if (!rules_->AllowEnds(row)) throw;
    token = Choose(context, batch_index);
  }
  rules_->Accept(token);
  return token;
}

llama_token Sampler::Choose(llama_context* context, int32_t batch_index) {
  if (!sampler_) return ChooseLikeliest(context, batch_index);
  llama_token token =
      n_top_ > 0 ? SampleFromTop(context, batch_index) : SampleInTime(context, batch_index);
  if (calls_ && !calls_->Allows(token)) {
    calls_->Mask(Row(context, batch_index));
    token = SampleInTime(context, batch_index);
  }
  common_sampler_accept(sampler_.get(), token, true);
  if (calls_) calls_->Accept(token);
  return token;
}
