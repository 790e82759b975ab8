#include "engine/sequence.h"

#include <algorithm>
#include <span>
#include <stdexcept>
#include <utility>

#include "llama/model.h"

namespace {

constexpr Clock::time_point kNever{};

double Milliseconds(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double, std::milli>(to - from).count();
}

std::span<const float> LogitsAt(llama_context* context, int32_t batch_index, const Model& model) {
  const float* logits = llama_get_logits_ith(context, batch_index);
  if (logits == nullptr) throw std::runtime_error("the step left no logits");
  return {logits, static_cast<size_t>(model.n_vocab())};
}

std::vector<std::string> AllStops(const Submit& submit) {
  std::vector<std::string> stops = submit.stops;
  stops.insert(stops.end(), submit.prompt->stops.begin(), submit.prompt->stops.end());
  return stops;
}

}  // namespace

Sequence::Sequence(const Model* model, Submit submit)
    : model_(model),
      id_(submit.id),
      prompt_(submit.prompt),
      max_tokens_(submit.max_tokens),
      sampler_(model, std::move(submit.sampling), submit.prompt->tokens),
      text_(AllStops(submit)),
      reasoning_(submit.prompt->reasoning),
      submitted_at_(submit.submitted_at) {
  if (!submit.scoring) return;
  n_top_ = submit.scoring->n_top;
  scores_prompt_ = submit.scoring->prompt;
}

void Sequence::CopyTokens(int32_t first, int32_t n, std::vector<llama_token>* tokens) const {
  const auto& prompt = prompt_->tokens;
  for (int32_t i = first; i < first + n; ++i) {
    const auto index = static_cast<size_t>(i);
    tokens->push_back(index < prompt.size() ? prompt[index] : completion_[index - prompt.size()]);
  }
}

void Sequence::MarkStarted(Clock::time_point now) {
  if (started_at_ == kNever) started_at_ = now;
}

Sequence::Progress Sequence::MarkComputed(int32_t first, int32_t n) {
  Progress progress;
  // Only a prompt can be found in the cache before it was ever computed.
  progress.n_cached = std::max(0, std::min(first, n_prompt_tokens()) - n_done_);
  progress.n_recomputed = std::clamp(n_done_ - first, 0, n);
  const int32_t first_new = std::max(first, n_done_);
  progress.n_prefilled = std::max(0, std::min(first + n, n_prompt_tokens()) - first_new);
  n_done_ = std::max(n_done_, first + n);
  n_cached_tokens_ += progress.n_cached;
  return progress;
}

int32_t Sequence::sampling_effort() const {
  return sampler_.effort() + (n_top_ ? kScoringEffort : 0);
}

llama_token Sequence::Sample(llama_context* context, int32_t batch_index) {
  if (!n_top_) return sampler_.Sample(context, batch_index);
  // Read first: sampling may rule out tokens in the row itself, but not the one it chooses.
  const Logprobs logprobs(LogitsAt(context, batch_index, *model_), *n_top_);
  const llama_token token = sampler_.Sample(context, batch_index);
  latest_ = Score(logprobs, token, prompt_->shown_tokens.contains(token));
  return token;
}

ScoredToken Sequence::ScorePrompt(llama_context* context, int32_t batch_index,
                                  int32_t index) const {
  const Logprobs logprobs(LogitsAt(context, batch_index, *model_), n_top_.value_or(0));
  return Score(logprobs, prompt_->tokens[static_cast<size_t>(index)], /*show_control=*/true);
}

ScoredToken Sequence::FirstPromptToken() const {
  ScoredToken token;
  model_->AppendPiece(prompt_->tokens.front(), /*show_control=*/true, &token.bytes);
  return token;
}

ScoredToken Sequence::Score(const Logprobs& logprobs, llama_token token, bool show_control) const {
  ScoredToken scored;
  model_->AppendPiece(token, show_control, &scored.bytes);
  scored.logprob = logprobs.Of(token);
  scored.top.reserve(logprobs.top().size());
  for (const Logprobs::Candidate& candidate : logprobs.top()) {
    scored.top.push_back({.bytes = {}, .logprob = candidate.logprob});
    model_->AppendPiece(candidate.token, /*show_control=*/true, &scored.top.back().bytes);
  }
  return scored;
}

Sequence::Growth Sequence::Grow(llama_token token) {
  completion_.push_back(token);
  last_token_at_ = Clock::now();
  if (first_token_at_ == kNever) first_token_at_ = last_token_at_;
  Growth growth = n_top_ ? GrowScored(token) : GrowText(token);
  growth.begins = !has_begun_ && !growth.text.empty();
  has_begun_ |= growth.begins;
  return growth;
}

Sequence::Growth Sequence::GrowScored(llama_token token) {
  total_logprob_ += latest_.logprob.value_or(0);
  // One without a text of its own, such as the end, is not a token of the text.
  const bool has_text = !model_->IsEndOfGeneration(token) && !latest_.bytes.empty();
  if (has_text) trail_.Add(std::move(latest_), text_.n_characters());
  Growth growth = GrowText(token);
  growth.tokens = trail_.Show(growth.text);
  return growth;
}

Sequence::Growth Sequence::GrowText(llama_token token) {
  if (model_->IsEndOfGeneration(token)) {
    return {.text = text_.Finish(), .ended = true, .reason = FinishReason::kStop};
  }
  std::string bytes;
  model_->AppendPiece(token, prompt_->shown_tokens.contains(token), &bytes);
  reasoning_.Push(bytes);
  StopMatcher::Result shown = text_.Push(bytes);
  if (shown.stopped) {
    return {.text = std::move(shown.text), .ended = true, .reason = FinishReason::kStop};
  }
  if (static_cast<int32_t>(completion_.size()) >= max_tokens_) {
    return {.text = shown.text + text_.Finish(), .ended = true, .reason = FinishReason::kLength};
  }
  return {.text = std::move(shown.text)};
}

void Sequence::CountDraft(int32_t n_drafted, int32_t n_accepted) {
  n_drafted_tokens_ += n_drafted;
  n_accepted_tokens_ += n_accepted;
}

SequenceEnd Sequence::End(FinishReason reason, Clock::time_point now) const {
  const bool started = started_at_ != kNever;
  const bool sampled = first_token_at_ != kNever;
  SequenceEnd end;
  end.id = id_;
  end.reason = reason;
  end.n_prompt_tokens = n_prompt_tokens();
  end.n_cached_tokens = n_cached_tokens_;
  end.n_completion_tokens = static_cast<int32_t>(completion_.size());
  end.n_reasoning_tokens = reasoning_.n_tokens();
  if (n_top_) end.total_logprob = total_logprob_;
  end.n_drafted_tokens = n_drafted_tokens_;
  end.n_accepted_tokens = n_accepted_tokens_;
  end.queue_ms = Milliseconds(submitted_at_, started ? started_at_ : now);
  if (started) end.prefill_ms = Milliseconds(started_at_, sampled ? first_token_at_ : now);
  if (sampled) end.decode_ms = Milliseconds(first_token_at_, last_token_at_);
  return end;
}
