#include "engine/step_sampler.h"

#include <algorithm>
#include <exception>
#include <functional>

namespace {

// Logits to pass over from which several threads are faster than one: waking them costs about 50
// microseconds.
constexpr int64_t kParallelEffort = 1'000'000;

std::string ReasonOf(const std::exception& error) {
  return error.what()[0] == '\0' ? "no token could be chosen" : error.what();
}

void Compute(llama_context* context, StepSampler::PromptLogprob* logprob) {
  try {
    logprob->token =
        logprob->completion->PromptLogprob(context, logprob->batch_index, logprob->index);
  } catch (const std::exception& error) {
    logprob->error = ReasonOf(error);
  }
}

}  // namespace

void StepSampler::Run(const StepPlan& plan, const StepBatch& batch, Completions* completions,
                      llama_context* context) {
  Collect(plan, batch, completions);
  const auto n_samples = static_cast<int32_t>(samples_.size());
  const auto n_items = n_samples + static_cast<int32_t>(prompt_logprobs_.size());
  const auto work_on = [&](int32_t i) {
    if (i < n_samples) {
      Choose(context, &samples_[i]);
    } else {
      Compute(context, &prompt_logprobs_[i - n_samples]);
    }
  };
  if (n_passes() * model_->n_vocab() >= kParallelEffort) {
    // The first access to the logits reorders them; later accesses are thread-safe.
    const int32_t first =
        samples_.empty() ? prompt_logprobs_[0].batch_index : samples_[0].batch_index;
    llama_get_logits_ith(context, first);
    workers_.Run(n_items, work_on);
  } else {
    for (int32_t i = 0; i < n_items; ++i) work_on(i);
  }
}

void StepSampler::Collect(const StepPlan& plan, const StepBatch& batch, Completions* completions) {
  samples_.clear();
  prompt_logprobs_.clear();
  for (size_t i = 0; i < plan.work.size(); ++i) {
    const StepWork& work = plan.work[i];
    Completion* completion = &completions->at(work.id);
    if (completion->wants_prompt_logprobs()) {
      const int32_t end = std::min(work.first + work.n_tokens + 1, completion->n_prompt_tokens());
      for (int32_t at = std::max(work.first + 1, completion->n_prompt_logprobs()); at < end; ++at) {
        prompt_logprobs_.push_back({.completion = completion,
                                    .batch_index = batch.first_output(i) + (at - 1 - work.first),
                                    .index = at});
      }
    }
    if (work.samples && completion->max_tokens() > 0) {
      samples_.push_back({.completion = completion,
                          .batch_index = batch.first_output(i) + work.n_outputs() - 1,
                          .draft = &work.draft});
    }
  }
  // Slow samplers first, so that no thread waits for one of them at the end.
  std::ranges::stable_sort(samples_, std::greater(),
                           [](const Sample& each) { return each.completion->sampling_effort(); });
}

int64_t StepSampler::n_passes() const {
  int64_t n = static_cast<int64_t>(prompt_logprobs_.size()) * Completion::kLogprobEffort;
  for (const Sample& sample : samples_) {
    n += static_cast<int64_t>(1 + sample.draft->size()) * sample.completion->sampling_effort();
  }
  return n;
}

// A drafted token is accepted if the sampler, asked for one token after the other, returns the same
// token. So every token is sampled exactly as it would have been without the draft.
void StepSampler::Choose(llama_context* context, Sample* sample) const {
  const std::vector<Token>& draft = *sample->draft;
  try {
    for (size_t i = 0; i <= draft.size(); ++i) {
      const int32_t batch_index = sample->batch_index + static_cast<int32_t>(i);
      const llama_token token = sample->completion->Sample(context, batch_index);
      sample->tokens.push_back(token);
      if (i == draft.size() || token != draft[i] || sample->completion->IsEnd(token)) break;
    }
  } catch (const NoTokenLeft& error) {
    sample->error = error.what();
    sample->error_code = ErrorCode::kBadRequest;
  } catch (const std::exception& error) {
    sample->error = ReasonOf(error);
  }
}
