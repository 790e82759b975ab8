// Chooses the next token of one sequence from the logits of the last step.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "core/reasoning_counter.h"
#include "core/token_rules.h"
#include "core/top_candidates.h"
#include "llama.h"

class LazyGrammar;
class Model;
struct common_params_sampling;
struct common_sampler;

// What the prompt of a sequence says to its sampler.
struct SamplerPrompt {
  // What penalties see before the completion.
  const std::vector<llama_token>& tokens;
  // The beginning of the reply that the prompt already holds, for its grammar.
  const std::vector<llama_token>& header;
  // Reasoning begins no call.
  const ReasoningCounter& reasoning;
};

class Sampler {
 public:
  // Throws std::exception when llama.cpp refuses the parameters, such as a grammar that does not
  // parse, or does not allow the header. `model` must outlive this object. `rules` hold for every
  // token; an end token may follow all the same where nothing else may.
  Sampler(const Model* model, common_params_sampling params, const SamplerPrompt& prompt,
          TokenRuleOptions rules = {});
  ~Sampler();
  Sampler(Sampler&&) noexcept;

  // Passes over the vocabulary that a sample takes, about: 1 when greedy.
  int32_t effort() const { return effort_; }

  // The next token from the logits at `batch_index` of the batch decoded last. May change those
  // logits.
  llama_token Sample(llama_context* context, int32_t batch_index);

 private:
  void PrepareSamplers(common_params_sampling params, const SamplerPrompt& prompt);
  void FeedHeader(const std::vector<llama_token>& header);
  // These throw NoTokenLeft where nothing may follow.
  llama_token Choose(llama_context* context, int32_t batch_index);
  llama_token ChooseLikeliest(llama_context* context, int32_t batch_index);
  // Throws std::runtime_error if the choice took far too long.
  llama_token SampleInTime(llama_context* context, int32_t batch_index);
  llama_token SampleFromTop(llama_context* context, int32_t batch_index);
  // Throws NoTokenLeft, or std::runtime_error if the model computed no logits.
  [[noreturn]] void ThrowNoToken(llama_context* context, int32_t batch_index) const;
  // Those of the batch.
  std::span<float> Row(llama_context* context, int32_t batch_index) const;
  // The same without what is excluded.
  std::span<float> Logits(llama_context* context, int32_t batch_index) const;
  void ShowPrompt(const common_params_sampling& params, const std::vector<llama_token>& prompt);

  struct Deleter {
    void operator()(common_sampler* sampler) const;
  };

  const Model* model_;
  // Null where every token may follow.
  std::unique_ptr<TokenRules> rules_;
  int32_t effort_ = 1;
  // Null when the parameters amount to "the most likely token": then no sampler is needed, and the
  // step is spared a pass that sorts the vocabulary.
  std::unique_ptr<common_sampler, Deleter> sampler_;
  // Null without a grammar of calls that the reply may make.
  std::unique_ptr<LazyGrammar> calls_;
  // Tokens that are left out of a choice from the logits themselves: the greedy one, and that of
  // the likeliest ones.
  std::vector<llama_token> excluded_;
  // Above 0 where the sampler starts by cutting the vocabulary to so many tokens, which are found
  // faster than it does.
  int32_t n_top_ = 0;
  TopCandidates top_;
  std::vector<llama_token_data> candidates_;
};
