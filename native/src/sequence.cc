#include "sequence.h"

#include <algorithm>
#include <utility>

#include "model.h"

namespace {

constexpr Clock::time_point kNever{};

double Milliseconds(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double, std::milli>(to - from).count();
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
      submitted_at_(submit.submitted_at) {}

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

llama_token Sequence::Sample(llama_context* context, int32_t batch_index) {
  return sampler_.Sample(context, batch_index);
}

Sequence::Growth Sequence::Grow(llama_token token) {
  completion_.push_back(token);
  last_token_at_ = Clock::now();
  if (first_token_at_ == kNever) first_token_at_ = last_token_at_;

  if (model_->IsEndOfGeneration(token)) return {text_.Finish(), true, FinishReason::kStop};
  std::string bytes;
  model_->AppendPiece(token, prompt_->shown_tokens.contains(token), &bytes);
  reasoning_.Push(bytes);
  StopMatcher::Result shown = text_.Push(bytes);
  if (shown.stopped) return {std::move(shown.text), true, FinishReason::kStop};
  if (static_cast<int32_t>(completion_.size()) >= max_tokens_) {
    return {shown.text + text_.Finish(), true, FinishReason::kLength};
  }
  return {std::move(shown.text), false, {}};
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
  end.n_drafted_tokens = n_drafted_tokens_;
  end.n_accepted_tokens = n_accepted_tokens_;
  end.queue_ms = Milliseconds(submitted_at_, started ? started_at_ : now);
  if (started) end.prefill_ms = Milliseconds(started_at_, sampled ? first_token_at_ : now);
  if (sampled) end.decode_ms = Milliseconds(first_token_at_, last_token_at_);
  return end;
}
