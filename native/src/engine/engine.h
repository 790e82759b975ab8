// The engine: owns the llama.cpp context and runs every sequence in it, step by step. It is the
// worker of a thread (core/thread_loop.h): all functions belong to that thread unless they say
// otherwise.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/thread_loop.h"
#include "engine/background_runner.h"
#include "engine/completion.h"
#include "engine/engine_options.h"
#include "engine/intake.h"
#include "engine/messages.h"
#include "engine/statistics.h"
#include "engine/step_batch.h"
#include "engine/step_sampler.h"
#include "llama/background_context.h"
#include "llama/context.h"
#include "llama/drafter.h"
#include "llama/model.h"
#include "schedule/scheduler.h"
#include "schedule/thread_pacer.h"

class Engine {
 public:
  using Message = EngineMessage;
  using Event = EngineEvent;
  using Facts = EngineFacts;

  // Any thread. `model`, and a draft model, must outlive the engine.
  Engine(ThreadLink<Event> link, const Model* model, EngineOptions options);

  // Any thread. A prompt is being prepared: until the last copy of the result is gone, an idle
  // engine that starts waits a little for its request.
  std::shared_ptr<void> Announce() { return intake_.Announce(); }

  // Any thread. As of the end of the latest step.
  EngineStats stats() const { return statistics_.published(); }

  // What the thread calls, in this order.
  Facts Open();
  std::vector<Message> Receive(Mailbox<Message>* mailbox, bool idle) {
    return intake_.Receive(mailbox, idle);
  }
  void Handle(Message message);
  // One step of all sequences. False if there was nothing to compute.
  bool Step();
  void End(std::vector<Message> unhandled, const std::optional<std::string>& failure) noexcept;

 private:
  // Sets up speculative decoding if it is configured. Returns why it is disabled all the same.
  std::string OpenDrafter();
  // Likewise for the background prefill.
  std::string OpenBackgroundContext();

  void Start(Submit submit);
  void CancelSequence(SequenceId id);

  // Emits what is new about the prompts whose readers want to know.
  void ReportProgress();

  // The verbs of a step, in calling order.
  void Draft();
  // False if an edit failed, so that the plan is void.
  bool EditMemory(const StepPlan& plan);
  // As many compute threads as are worth it at the moment.
  void ChooseThreads(const StepPlan& plan);
  // False if the batch could not be computed, so that the rest of the plan is void.
  bool Decode(const StepPlan& plan);
  void Commit(const StepPlan& plan);
  void Sample(const StepPlan& plan);
  void Measure(const StepPlan& plan);
  // A step that only decoded `n_decoding` sequences took `ms`: the next ones may use fewer threads.
  void AdaptThreads(int32_t n_decoding, double ms);
  // Does nothing without background work. The step has taken `step_ms` so far.
  void PrefillInBackground(const StepPlan& plan, double step_ms);
  // There was nothing to compute.
  void Rest();

  bool DecodesNext(const StepPlan& plan) const;

  // What follows from the results of the sampler.
  void TakePromptLogprobs();
  void TakeSamples();
  void EndPromptsOnly(const StepPlan& plan);

  void FailSequences(const StepPlan& plan, const std::string& reason);
  void EndSequence(SequenceId id, Event event);

  const Model* const model_;
  const EngineOptions options_;
  const ThreadLink<Event> link_;
  Intake intake_;
  Statistics statistics_;
  StepBatch batch_;
  StepSampler sampler_;

  // Exist from Open to End.
  std::optional<Context> context_;
  std::optional<ThreadPacer> thread_pacer_;
  std::optional<Drafter> drafter_;
  std::optional<BackgroundContext> background_context_;
  std::optional<Scheduler> scheduler_;
  std::optional<BackgroundRunner> background_runner_;
  Completions completions_;
  // Sequences with more to report about their prompts.
  std::vector<SequenceId> reporting_;

  // When the latest Decode began, and whether it also performed copies.
  Clock::time_point decode_begin_{};
  bool decode_copies_ = false;
};

using EngineThread = ThreadLoop<Engine>;
