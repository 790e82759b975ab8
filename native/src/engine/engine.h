// The engine: one thread that owns the context and runs every sequence in it, step by step.
//
//   callers --Submit, Cancel, Hold, Close--> mailbox --> Step() --> events --> sink
//
// Nothing else crosses: callers never touch the context, and the thread never waits for a caller.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "core/burst_guess.h"
#include "core/live_threads.h"
#include "core/mailbox.h"
#include "core/worker_pool.h"
#include "engine/background_prefill.h"
#include "engine/messages.h"
#include "engine/sequence.h"
#include "engine/statistics.h"
#include "llama/background_context.h"
#include "llama/context.h"
#include "llama/drafter.h"
#include "llama/model.h"
#include "llama/token_batch.h"
#include "schedule/scheduler.h"

struct EngineOptions {
  ContextOptions context;
  // By how much a prompt may delay those who decode in a step, in milliseconds, above 0.
  double step_target_ms = 50;
  // For so many milliseconds, and the rest of a step that decodes, texts may wait for those of the
  // next steps, to leave together. Never the first one of a sequence, and with anything else they
  // leave at once.
  double stream_interval_ms = 0;
  // Threads that choose tokens, the engine's own among them.
  int32_t n_sampling_threads = 1;
  DraftOptions drafts;

  // Calls visit(name, &field) for each option that a caller of the addon may set.
  template <class Visitor>
  void VisitOptions(const Visitor& visit) {
    context.VisitOptions(visit);
    visit("stepTargetMs", &step_target_ms);
    visit("streamIntervalMs", &stream_interval_ms);
    visit("samplingThreadCount", &n_sampling_threads);
    visit("speculative", &drafts);
  }
};

// Receives the events of a step, or of some, on the engine thread. Must not block and must not
// throw.
using EventSink = std::function<void(std::vector<Event>)>;

class Engine : public LiveThread {
 public:
  // Starts the thread, which builds the context and then tells `Started` or `EngineFailed`. `model`
  // must outlive the engine, and a draft model as well.
  Engine(const Model* model, EngineOptions options, EventSink sink);
  // Closes and joins.
  ~Engine() override;
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Any thread. Each sequence that is submitted gets exactly one SequenceEnd or SequenceError, also
  // when the engine closes or fails, unless it comes after `Stopped`; a message for a sequence that
  // has ended changes nothing.
  void Post(Message message);

  // Any thread. A prompt is being prepared: until the last copy of the result is gone, an engine
  // that is about to start from rest waits a little for it.
  std::shared_ptr<void> Announce();

  // Any thread. Ends every sequence as cancelled and stops the thread; returns at once. Idempotent.
  void RequestClose() override;

  // Any thread but the engine's. Waits until the thread has ended, and with it the last call of the
  // sink.
  void Join() override;

  // Any thread.
  EngineStats stats() const { return statistics_.published(); }

 private:
  // The thread, in calling order.
  void Run() noexcept;
  void RunSteps();
  // What has arrived; after a rest also what comes with it.
  std::vector<Message> TakeMessages(bool idle);
  void Handle(Message message);
  void Start(Submit submit);
  void CancelSequence(SequenceId id);
  // Sets up guessing where it was asked for. Returns why it is not done all the same.
  std::string StartDrafter();
  // Likewise for the background context.
  std::string OpenBackgroundContext();
  // One step of all sequences. False when there was nothing to compute.
  bool Step();
  // The verbs of a step, in calling order.
  void Draft();
  // False when an edit failed, so that the plan is void.
  bool EditMemory(const StepPlan& plan);
  void FillBatch(const StepPlan& plan);
  // False when the batch could not be computed, so that the rest of the plan is void.
  bool Decode(const StepPlan& plan);
  void Commit(const StepPlan& plan);
  // Scores prompts and chooses the next tokens.
  void SampleAll(const StepPlan& plan);
  void Measure(const StepPlan& plan);
  // Does nothing without background work. The step has taken `batch_ms` so far.
  void RunBackgroundPrefill(const StepPlan& plan, double batch_ms);

  bool DecodesNext(const StepPlan& plan) const;
  void FindSamples(const StepPlan& plan);
  void TakeScores();
  void TakeSamples();
  void EndPromptsOnly(const StepPlan& plan);
  void FailSequences(const StepPlan& plan, const std::string& reason);
  void EndSequence(SequenceId id, Event event);
  void EndEverything(const std::optional<std::string>& failure);
  // Puts an event down to be flushed: as soon as a step is over, unless it may wait for others.
  void Tell(Event event, bool may_wait = false);
  void Flush();

  // A sequence whose next tokens are chosen in this step.
  struct Sample {
    Sequence* sequence = nullptr;
    // Of its last known token, behind which its guess lies.
    int32_t batch_index = 0;
    const std::vector<Token>* draft = nullptr;
    // One, and one more for each token of the guess that is right.
    std::vector<llama_token> tokens = {};
    // Why no further token came.
    std::string error = {};
  };
  // A prompt token that is scored in this step.
  struct Score {
    Sequence* sequence = nullptr;
    int32_t batch_index = 0;
    // Of the token, in its prompt.
    int32_t index = 0;
    ScoredToken token = {};
    // Why there is no score.
    std::string error = {};
  };

  // Chooses the tokens of one sequence, or scores one token. From several threads at the same time.
  void Choose(Sample* sample);
  void ScoreOne(Score* score);

  const Model* const model_;
  const EngineOptions options_;
  const EventSink sink_;
  Mailbox<Message> mailbox_;
  // Owned by the thread: whether others come with a request, and when the latest was submitted.
  BurstGuess bursts_;
  Clock::time_point last_submit_{};
  // Prompts being prepared.
  const std::shared_ptr<std::atomic<int32_t>> n_announced_ =
      std::make_shared<std::atomic<int32_t>>(0);
  // Also read by llama.cpp while it computes, to stop early.
  std::atomic<bool> closing_{false};

  Statistics statistics_;

  // Owned by the thread.
  std::optional<Context> context_;
  std::optional<Drafter> drafter_;
  std::optional<BackgroundContext> background_context_;
  std::optional<Scheduler> scheduler_;
  std::optional<BackgroundPrefill> background_prefill_;
  Sequences sequences_;
  std::vector<Event> events_;
  // From when on they leave with the end of a step.
  Clock::time_point flush_at_ = Clock::time_point::min();
  TokenBatch batch_;
  // When the latest Decode began, and whether it also performed copies.
  Clock::time_point decode_begin_{};
  bool decode_copies_ = false;
  // Batch index of the first token whose logits are kept, of each piece of work of this step, in
  // the plan's order.
  std::vector<int32_t> first_outputs_;
  // Indices into the plan's work, by cache id.
  std::vector<size_t> by_cache_id_;
  std::vector<llama_token> scratch_tokens_;
  WorkerPool samplers_;
  std::vector<Sample> samples_;
  // Those of one sequence one after the other, in their order.
  std::vector<Score> scores_;

  std::mutex join_mutex_;
  // Last: starts when everything above exists.
  std::thread thread_;
};
