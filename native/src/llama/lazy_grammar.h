// The grammar of calls in a reply that may call: it holds from the text on that begins a call.
// llama.cpp's own lazy grammar, which is fed nothing before.
#pragma once

#include <llama-cpp.h>

#include <deque>
#include <span>
#include <string>
#include <vector>

#include "core/reasoning_counter.h"
#include "core/trigger_finder.h"

class Model;
struct common_params_sampling;

class LazyGrammar {
 public:
  // `params` has a lazy grammar and its triggers. What `reasoning` counts begins no call. Throws
  // std::exception where the grammar does not parse.
  LazyGrammar(const Model* model, const common_params_sampling& params, ReasoningCounter reasoning);

  // True if the grammar lets `token` follow.
  bool Allows(llama_token token);

  // Sets the logits of the tokens that may not follow to minus infinity.
  void Mask(std::span<float> logits);

  // `token` follows; it must be allowed.
  void Accept(llama_token token);

 private:
  struct Recent {
    llama_token token;
    size_t n_bytes;
  };

  void Remember(llama_token token, size_t n_bytes);
  void ForgetBefore(size_t n_bytes);
  void Begin();

  const Model* model_;
  llama_sampler_ptr grammar_;
  std::vector<llama_token> trigger_tokens_;
  TriggerFinder triggers_;
  ReasoningCounter reasoning_;
  bool has_begun_ = false;
  // The tokens at the end of the text in which a call may begin.
  std::deque<Recent> recent_;
  size_t n_recent_bytes_ = 0;
  std::vector<llama_token_data> candidates_;
};
