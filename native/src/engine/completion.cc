#include "engine/completion.h"

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

std::vector<Token> Sorted(std::vector<Token> tokens) {
  std::ranges::sort(tokens);
  return tokens;
}

}  // namespace

Completion::Completion(const Model* model, Submit submit)
    : model_(model),
      id_(submit.id),
      prompt_(submit.prompt),
      max_tokens_(submit.max_tokens),
      min_tokens_(submit.token_rules.min_tokens),
      max_decode_(submit.max_decode_ms),
      show_stops_(submit.show_stops),
      show_control_(submit.show_control),
      stop_tokens_(Sorted(submit.token_rules.stop_tokens)),
      sampler_(model, std::move(submit.sampling),
               {submit.prompt->tokens, submit.prompt->header, submit.prompt->reasoning},
               std::move(submit.token_rules)),
      text_(AllStops(submit), submit.show_stops),
      indent_(submit.min_indent),
      reasoning_(submit.prompt->reasoning),
      report_tokens_(submit.report_tokens),
      n_reported_(submit.report_progress ? -1 : n_prompt_tokens()),
      submitted_at_(submit.submitted_at) {
  if (!submit.logprobs) return;
  n_top_ = submit.logprobs->n_top;
  wants_prompt_logprobs_ = submit.logprobs->prompt;
}

void Completion::MarkStarted(Clock::time_point now, int32_t n_found) {
  if (started_at_ != kNever) return;
  started_at_ = now;
  n_found_ = n_found;
}

Completion::Progress Completion::MarkComputed(int32_t first, int32_t n) {
  Progress progress;
  // Only prompt tokens can be cached before the sequence has computed them.
  progress.n_cached = std::max(0, std::min(first, n_prompt_tokens()) - n_done_);
  progress.n_recomputed = std::clamp(n_done_ - first, 0, n);
  const int32_t first_new = std::max(first, n_done_);
  progress.n_prefilled = std::max(0, std::min(first + n, n_prompt_tokens()) - first_new);
  n_done_ = std::max(n_done_, first + n);
  n_cached_tokens_ += progress.n_cached;
  return progress;
}

std::optional<PromptProgress> Completion::TakeProgress(Clock::time_point now) {
  const int32_t n_done = std::min(std::max(n_done_, n_found_), n_prompt_tokens());
  if (started_at_ == kNever || n_done == n_reported_) return std::nullopt;
  n_reported_ = n_done;
  return PromptProgress{
      .id = id_,
      .n_prompt_tokens = n_prompt_tokens(),
      .n_cached_tokens = n_done_ > 0 ? n_cached_tokens_ : n_found_,
      .n_done = n_done,
      .ms = Milliseconds(started_at_, now),
  };
}

int32_t Completion::sampling_effort() const {
  return sampler_.effort() + (n_top_ ? kLogprobEffort : 0);
}

llama_token Completion::Sample(llama_context* context, int32_t batch_index) {
  if (!n_top_) return sampler_.Sample(context, batch_index);
  // Read before sampling, which may mask tokens in the row itself, except the one it samples.
  const Logprobs logprobs(LogitsAt(context, batch_index, *model_), *n_top_);
  const llama_token token = sampler_.Sample(context, batch_index);
  latest_ = TokenWith(logprobs, token, ShowsControl(token));
  return token;
}

bool Completion::IsEnd(llama_token token) const {
  return model_->IsEndOfGeneration(token) || IsStopToken(token);
}

bool Completion::IsStopToken(llama_token token) const {
  return std::ranges::binary_search(stop_tokens_, token);
}

bool Completion::ShowsControl(llama_token token) const {
  return show_control_ || prompt_->shown_tokens.contains(token);
}

TokenLogprob Completion::PromptLogprob(llama_context* context, int32_t batch_index,
                                       int32_t index) const {
  const Logprobs logprobs(LogitsAt(context, batch_index, *model_), n_top_.value_or(0));
  const llama_token token = prompt_->tokens[static_cast<size_t>(index)];
  TokenLogprob result = TokenWith(logprobs, token, /*show_control=*/true);
  result.rank = logprobs.RankOf(token);
  return result;
}

TokenLogprob Completion::FirstPromptToken() const {
  TokenLogprob token{.token = prompt_->tokens.front()};
  model_->AppendPiece(token.token, /*show_control=*/true, &token.bytes);
  return token;
}

TokenLogprob Completion::TokenWith(const Logprobs& logprobs, llama_token token,
                                   bool show_control) const {
  TokenLogprob result{.token = token};
  model_->AppendPiece(token, show_control, &result.bytes);
  result.logprob = logprobs.Of(token);
  result.top.reserve(logprobs.top().size());
  for (const Logprobs::Candidate& candidate : logprobs.top()) {
    result.top.push_back({.token = candidate.token, .logprob = candidate.logprob});
    model_->AppendPiece(candidate.token, /*show_control=*/true, &result.top.back().bytes);
  }
  return result;
}

Completion::Growth Completion::Grow(llama_token token) {
  ++n_sampled_;
  last_token_at_ = Clock::now();
  if (first_token_at_ == kNever) first_token_at_ = last_token_at_;
  if (report_tokens_) unreported_.push_back(token);
  Growth growth = n_top_ ? GrowWithLogprobs(token) : GrowText(token);
  growth.begins = !has_begun_ && !growth.text.empty();
  has_begun_ |= growth.begins;
  if (!growth.text.empty()) growth.ids = std::exchange(unreported_, {});
  return growth;
}

Completion::Growth Completion::GrowWithLogprobs(llama_token token) {
  total_logprob_ += latest_.logprob.value_or(0);
  // A token without text, such as the end of generation, is not a token of the text.
  const bool has_text = (show_stops_ || !IsEnd(token)) && !latest_.bytes.empty();
  if (has_text) trail_.Add(std::move(latest_), text_.n_characters());
  Growth growth = GrowText(token);
  growth.tokens = trail_.Show(growth.text);
  return growth;
}

Completion::Growth Completion::GrowText(llama_token token) {
  const bool is_end = IsEnd(token);
  if (is_end && IsStopToken(token)) stop_token_ = token;
  if (is_end && !show_stops_) {
    return {.text = text_.Finish(), .ended = true, .reason = FinishReason::kStop};
  }
  std::string bytes;
  model_->AppendPiece(token, ShowsControl(token), &bytes);
  reasoning_.Push(bytes);
  StopMatcher::Result shown = text_.Push(bytes, /*may_stop=*/n_sampled_ > min_tokens_);
  if (const size_t n_kept = indent_.Push(shown.text); n_kept < shown.text.size()) {
    shown.text.resize(n_kept);
    return {.text = std::move(shown.text), .ended = true, .reason = FinishReason::kLength};
  }
  if (shown.stopped) {
    stop_text_ = std::move(shown.stop);
    return {.text = std::move(shown.text), .ended = true, .reason = FinishReason::kStop};
  }
  if (is_end) {
    return {.text = shown.text + text_.Finish(), .ended = true, .reason = FinishReason::kStop};
  }
  if (n_sampled_ >= max_tokens_ || EndsInTime(shown.text)) {
    return {.text = shown.text + text_.Finish(), .ended = true, .reason = FinishReason::kLength};
  }
  return {.text = std::move(shown.text)};
}

bool Completion::EndsInTime(std::string_view text) const {
  return max_decode_.count() > 0 && last_token_at_ - first_token_at_ > max_decode_ &&
         text.find('\n') != text.npos;
}

void Completion::CountDraft(int32_t n_drafted, int32_t n_accepted) {
  n_drafted_tokens_ += n_drafted;
  n_accepted_tokens_ += n_accepted;
}

SequenceEnd Completion::End(FinishReason reason, Clock::time_point now) {
  const bool started = started_at_ != kNever;
  const bool sampled = first_token_at_ != kNever;
  SequenceEnd end;
  end.id = id_;
  end.reason = reason;
  end.stop_text = stop_text_;
  end.stop_token = stop_token_;
  end.n_prompt_tokens = n_prompt_tokens();
  end.n_cached_tokens = n_cached_tokens_;
  end.n_completion_tokens = n_sampled_;
  end.n_reasoning_tokens = reasoning_.n_tokens();
  if (n_top_) end.total_logprob = total_logprob_;
  end.n_drafted_tokens = n_drafted_tokens_;
  end.n_accepted_tokens = n_accepted_tokens_;
  end.queue_ms = Milliseconds(submitted_at_, started ? started_at_ : now);
  if (started) end.prefill_ms = Milliseconds(started_at_, sampled ? first_token_at_ : now);
  if (sampled) end.decode_ms = Milliseconds(first_token_at_, last_token_at_);
  end.ids = std::exchange(unreported_, {});
  return end;
}
