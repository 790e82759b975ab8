// One prompt and its growing completion. Lives on the engine thread.
#pragma once

#include <string>
#include <vector>

#include "completion_text.h"
#include "messages.h"
#include "sampler.h"

class Sequence {
 public:
  // Throws std::exception when the sampling parameters are refused.
  Sequence(const Model* model, Submit submit);

  SequenceId id() const { return id_; }
  int32_t n_prompt_tokens() const { return static_cast<int32_t>(prompt_->tokens.size()); }
  // Prompt and completion: what the cache must hold before the next token can be sampled.
  int32_t n_tokens() const { return n_prompt_tokens() + static_cast<int32_t>(completion_.size()); }
  const std::vector<llama_token>& prompt_tokens() const { return prompt_->tokens; }
  // Completion tokens that may still come, at least 1.
  int32_t n_left() const { return max_tokens_ - static_cast<int32_t>(completion_.size()); }
  // Prompt tokens that were found in the cache instead of being computed.
  int32_t n_cached_tokens() const { return n_cached_tokens_; }

  // Appends the tokens [first, first + n) to `tokens`.
  void CopyTokens(int32_t first, int32_t n, std::vector<llama_token>* tokens) const;

  // The first step that works on it begins; later calls change nothing.
  void MarkStarted(Clock::time_point now);

  // What computing some of its tokens came to.
  struct Progress {
    // Prompt tokens computed for the first time.
    int32_t n_prefilled = 0;
    // Prompt tokens before them that were in the cache already.
    int32_t n_cached = 0;
    // Tokens of any kind that had been computed before.
    int32_t n_recomputed = 0;
  };

  // The tokens [first, first + n) were computed; what lies before them was in the cache.
  Progress MarkComputed(int32_t first, int32_t n);

  // How much it takes to sample for it: passes over the vocabulary, about.
  int32_t sampling_effort() const { return sampler_.effort(); }

  // Chooses the next token from the logits at `batch_index`. Several sequences may do so at the
  // same time; everything else belongs to the engine thread. Throws std::exception when there is
  // no token to choose.
  llama_token Sample(llama_context* context, int32_t batch_index);

  // What one sampled token led to.
  struct Growth {
    // Text to show, possibly empty.
    std::string text;
    bool ended = false;
    FinishReason reason = FinishReason::kStop;
  };

  // Appends the token that was chosen.
  Growth Grow(llama_token token);

  // Of `n_drafted` tokens guessed for it `n_accepted` were right.
  void CountDraft(int32_t n_drafted, int32_t n_accepted);

  // The account of the sequence as it stands.
  SequenceEnd End(FinishReason reason, Clock::time_point now) const;

 private:
  const Model* model_;
  SequenceId id_;
  std::shared_ptr<const Prompt> prompt_;
  int32_t max_tokens_;
  Sampler sampler_;
  CompletionText text_;
  ReasoningCounter reasoning_;
  std::vector<llama_token> completion_;
  // Tokens, from the first on, that were computed or found at some time.
  int32_t n_done_ = 0;
  int32_t n_cached_tokens_ = 0;
  int32_t n_drafted_tokens_ = 0;
  int32_t n_accepted_tokens_ = 0;

  Clock::time_point submitted_at_;
  // Set when the event they name has happened.
  Clock::time_point started_at_{};
  Clock::time_point first_token_at_{};
  Clock::time_point last_token_at_{};
};
