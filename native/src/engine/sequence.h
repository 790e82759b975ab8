// One prompt and its growing completion. Lives on the engine thread.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "core/completion_text.h"
#include "core/token_trail.h"
#include "engine/messages.h"
#include "llama/sampler.h"

class Sequence {
 public:
  // Throws std::exception when the sampling parameters are refused.
  Sequence(const Model* model, Submit submit);

  SequenceId id() const { return id_; }
  int32_t n_prompt_tokens() const { return static_cast<int32_t>(prompt_->tokens.size()); }
  // Prompt and completion: what the cache must hold before the next token can be sampled.
  int32_t n_tokens() const { return n_prompt_tokens() + static_cast<int32_t>(completion_.size()); }
  const std::vector<llama_token>& prompt_tokens() const { return prompt_->tokens; }
  // Tokens that may be guessed for it now, less than 1 for none. One more follows a guess that is
  // right to its end. None where tokens are scored: that is done one token a step.
  int32_t n_guessable() const {
    return n_top_ ? 0 : max_tokens_ - static_cast<int32_t>(completion_.size()) - 1;
  }
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
  int32_t sampling_effort() const;
  // The same for the score of one token.
  static constexpr int32_t kScoringEffort = 10;

  int32_t max_tokens() const { return max_tokens_; }

  // Chooses the next token from the logits at `batch_index`. Several sequences may do so at the
  // same time; everything else belongs to the engine thread. Throws std::exception when there is
  // no token to choose.
  llama_token Sample(llama_context* context, int32_t batch_index);

  // Whether tokens of its prompt are still to be scored. The next one is `n_scored()`.
  bool scores_prompt() const { return scores_prompt_ && n_scored_ < n_prompt_tokens(); }
  int32_t n_scored() const { return n_scored_; }
  // The score of the prompt token `index`, above 0, from the logits at `batch_index`, which are
  // those of the token before it. On any thread, like Sample. Throws std::exception.
  ScoredToken ScorePrompt(llama_context* context, int32_t batch_index, int32_t index) const;
  // So many more tokens of the prompt were scored.
  void MarkScored(int32_t n) { n_scored_ += n; }
  // The first token of the prompt, which has no score.
  ScoredToken FirstPromptToken() const;

  // What one sampled token led to.
  struct Growth {
    // Text to show, possibly empty, and its tokens, where they are scored.
    std::string text = {};
    std::optional<std::vector<ScoredToken>> tokens = {};
    // Whether this is the first text there is.
    bool begins = false;
    bool ended = false;
    FinishReason reason = FinishReason::kStop;
  };

  // Appends the token that was chosen last.
  Growth Grow(llama_token token);

  // Of `n_drafted` tokens guessed for it `n_accepted` were right.
  void CountDraft(int32_t n_drafted, int32_t n_accepted);

  // The account of the sequence as it stands.
  SequenceEnd End(FinishReason reason, Clock::time_point now) const;

 private:
  // What Grow does, with scores and without.
  Growth GrowScored(llama_token token);
  Growth GrowText(llama_token token);
  ScoredToken Score(const Logprobs& logprobs, llama_token token, bool show_control) const;

  const Model* model_;
  SequenceId id_;
  std::shared_ptr<const Prompt> prompt_;
  int32_t max_tokens_;
  Sampler sampler_;
  CompletionText text_;
  ReasoningCounter reasoning_;
  std::vector<llama_token> completion_;
  // Whether some of its text was told.
  bool has_begun_ = false;

  // Likeliest tokens told for each one; none when nothing is scored.
  std::optional<int32_t> n_top_;
  bool scores_prompt_ = false;
  int32_t n_scored_ = 0;
  // Of the token that Sample chose.
  ScoredToken latest_;
  double total_logprob_ = 0;
  TokenTrail trail_;

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

using Sequences = std::unordered_map<SequenceId, Sequence>;
