// Samples the next tokens of a step and computes the log probabilities of its prompt tokens, on
// several threads where that is faster. Changes samplers only: what follows from the tokens is the
// engine's work. Engine thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/worker_pool.h"
#include "engine/completion.h"
#include "engine/step_batch.h"
#include "llama/model.h"
#include "schedule/scheduler.h"

class StepSampler {
 public:
  // `n_threads` includes the engine thread. `model` must outlive this object.
  StepSampler(const Model* model, int32_t n_threads) : model_(model), workers_(n_threads) {}

  // A sequence that samples in this step.
  struct Sample {
    Completion* completion = nullptr;
    // Batch index of its last known token; its draft follows.
    int32_t batch_index = 0;
    const std::vector<Token>* draft = nullptr;
    // One token, and one more for each accepted token of the draft.
    std::vector<llama_token> tokens = {};
    // Why sampling ended early; empty if it did not.
    std::string error = {};
    ErrorCode error_code = ErrorCode::kSequenceFailed;
  };
  // A prompt token whose log probability is computed in this step.
  struct PromptLogprob {
    Completion* completion = nullptr;
    // Batch index of the token before it.
    int32_t batch_index = 0;
    // Index of the token in its prompt.
    int32_t index = 0;
    TokenLogprob token = {};
    // Why there is no log probability; empty if there is one.
    std::string error = {};
  };

  // Computes what `plan` asks for. `context` has just computed `batch`. The results stay
  // valid until the next call, as long as the sequences and the plan exist.
  void Run(const StepPlan& plan, const StepBatch& batch, Completions* completions,
           llama_context* context);

  std::vector<Sample>& samples() { return samples_; }
  // Those of one sequence are adjacent, in the order of its prompt.
  std::vector<PromptLogprob>& prompt_logprobs() { return prompt_logprobs_; }

 private:
  void Collect(const StepPlan& plan, const StepBatch& batch, Completions* completions);
  // Passes over logits, in total.
  int64_t n_passes() const;
  // Thread-safe for different items.
  void Choose(llama_context* context, Sample* sample) const;

  const Model* const model_;
  WorkerPool workers_;
  std::vector<Sample> samples_;
  std::vector<PromptLogprob> prompt_logprobs_;
};
