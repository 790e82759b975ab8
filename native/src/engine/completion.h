// The completion of one prompt: sampler, text, log probabilities, counts and times. The tokens
// themselves are kept by the scheduler. Engine thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/completion_text.h"
#include "core/line_indent.h"
#include "core/token_trail.h"
#include "engine/messages.h"
#include "llama/sampler.h"

class Completion {
 public:
  // Throws std::exception if the sampling parameters are refused.
  Completion(const Model* model, Submit submit);

  SequenceId id() const { return id_; }
  const std::vector<llama_token>& prompt_tokens() const { return prompt_->tokens; }
  int32_t n_prompt_tokens() const { return static_cast<int32_t>(prompt_->tokens.size()); }
  int32_t max_tokens() const { return max_tokens_; }
  // Maximum length of a draft, less than 1 for none: one token more is sampled behind an accepted
  // draft. Log probabilities are computed for one token per step, so there are no drafts with them.
  int32_t max_draft() const { return n_top_ ? 0 : max_tokens_ - n_sampled_ - 1; }
  // Prompt tokens that were found in the cache instead of being computed.
  int32_t n_cached_tokens() const { return n_cached_tokens_; }

  // The first step that works on the sequence begins; later calls change nothing. It finds
  // `n_found` tokens in the cache.
  void MarkStarted(Clock::time_point now, int32_t n_found);

  struct Progress {
    // Prompt tokens computed for the first time.
    int32_t n_prefilled = 0;
    // Prompt tokens before them that were cached already.
    int32_t n_cached = 0;
    // Tokens of any kind that had been computed before.
    int32_t n_recomputed = 0;
  };

  // The tokens [first, first + n) were computed; the tokens before them were cached.
  Progress MarkComputed(int32_t first, int32_t n);

  // True while there may be more to report about the prompt.
  bool reports_progress() const { return n_reported_ < n_prompt_tokens(); }
  // What is new about the prompt since the last call.
  std::optional<PromptProgress> TakeProgress(Clock::time_point now);

  // Cost of sampling a token, in passes over the vocabulary, approximately.
  int32_t sampling_effort() const;
  // The same for the log probability of a token.
  static constexpr int32_t kLogprobEffort = 10;

  // Samples the next token from the logits at `batch_index`. Thread-safe for different completions;
  // all other functions belong to the engine thread. Throws std::exception if there is no token to
  // sample.
  llama_token Sample(llama_context* context, int32_t batch_index);
  // True for an end token of the model and for a stop token of the request. Thread-safe.
  bool IsEnd(llama_token token) const;

  // True while log probabilities of prompt tokens are missing. The next one is that of the token
  // n_prompt_logprobs().
  bool wants_prompt_logprobs() const {
    return wants_prompt_logprobs_ && n_prompt_logprobs_ < n_prompt_tokens();
  }
  int32_t n_prompt_logprobs() const { return n_prompt_logprobs_; }
  // The log probability of the prompt token `index`, above 0, from the logits at `batch_index`,
  // which are those of the token before it. Thread-safe, like Sample. Throws std::exception.
  TokenLogprob PromptLogprob(llama_context* context, int32_t batch_index, int32_t index) const;
  // `n` more log probabilities of the prompt were emitted.
  void MarkPromptLogprobs(int32_t n) { n_prompt_logprobs_ += n; }
  // The first token of the prompt, which has no log probability.
  TokenLogprob FirstPromptToken() const;

  // The effect of one sampled token.
  struct Growth {
    // Text to emit, possibly empty, and its tokens if their log probabilities are wanted.
    std::string text = {};
    std::optional<std::vector<TokenLogprob>> tokens = {};
    // The tokens since the last text, if the request wants them.
    std::vector<Token> ids = {};
    // True if no text came before this one.
    bool begins = false;
    bool ended = false;
    FinishReason reason = FinishReason::kStop;
  };

  // Appends the token that was sampled last.
  Growth Grow(llama_token token);

  // `n_accepted` tokens of a draft of `n_drafted` tokens were accepted.
  void CountDraft(int32_t n_drafted, int32_t n_accepted);

  // The final event of the sequence as it is now.
  SequenceEnd End(FinishReason reason, Clock::time_point now);

 private:
  // Grow, with log probabilities and without.
  Growth GrowWithLogprobs(llama_token token);
  Growth GrowText(llama_token token);
  TokenLogprob TokenWith(const Logprobs& logprobs, llama_token token, bool show_control) const;
  // True if the text of a control token belongs to the completion.
  bool ShowsControl(llama_token token) const;
  bool IsStopToken(llama_token token) const;
  // True if the time of the completion is over and `text`, the newest, is the place to end.
  bool EndsInTime(std::string_view text) const;

  const Model* model_;
  SequenceId id_;
  std::shared_ptr<const Prompt> prompt_;
  int32_t max_tokens_;
  int32_t min_tokens_;
  std::chrono::milliseconds max_decode_;
  bool show_stops_;
  bool show_control_;
  // Ascending.
  std::vector<Token> stop_tokens_;
  Sampler sampler_;
  CompletionText text_;
  LineIndent indent_;
  ReasoningCounter reasoning_;
  int32_t n_sampled_ = 0;
  // What ended the completion.
  std::string stop_text_;
  std::optional<Token> stop_token_;
  // Tokens that no text was emitted for yet, if they are reported.
  bool report_tokens_;
  std::vector<Token> unreported_;
  // True once text was emitted.
  bool has_begun_ = false;

  // Number of most likely tokens to report for each token; no log probabilities without it.
  std::optional<int32_t> n_top_;
  bool wants_prompt_logprobs_ = false;
  int32_t n_prompt_logprobs_ = 0;
  // The token that was sampled last.
  TokenLogprob latest_;
  double total_logprob_ = 0;
  TokenTrail trail_;

  // The first `n_done_` tokens were computed, or found in the cache, at some time.
  int32_t n_done_ = 0;
  int32_t n_cached_tokens_ = 0;
  // Tokens of the prompt that were in the cache at the start, and as reported last: -1 for none,
  // all of them where nothing is reported.
  int32_t n_found_ = 0;
  int32_t n_reported_;
  int32_t n_drafted_tokens_ = 0;
  int32_t n_accepted_tokens_ = 0;

  Clock::time_point submitted_at_;
  // Set when the event happens.
  Clock::time_point started_at_{};
  Clock::time_point first_token_at_{};
  Clock::time_point last_token_at_{};
};

using Completions = std::unordered_map<SequenceId, Completion>;
