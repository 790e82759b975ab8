// Drives the background prefill of a plan: begins it in the background context, computes a slice of
// it in each step, and moves finished prompts to the engine's context. Engine thread.
#pragma once

#include "engine/completion.h"
#include "engine/statistics.h"
#include "llama/background_context.h"
#include "llama/context.h"
#include "schedule/scheduler.h"

class BackgroundRunner {
 public:
  // All of them must outlive this object.
  BackgroundRunner(BackgroundContext* background, Context* context, Scheduler* scheduler,
                   Completions* completions, Statistics* statistics);

  // Frees the background context if the plan has no work for it.
  void Follow(const StepPlan& plan);

  // One slice of the work. It may last as long as the batch took (`batch_ms`) where the plan says
  // so. The outcome goes to the scheduler: what was moved, and what failed and is prefilled in
  // batches from now on.
  void Run(const BackgroundWork& work, double batch_ms);

 private:
  // True if the background context has a row for each share that is not behind the cache.
  bool Holds(const BackgroundWork& work);
  bool HasRead(const BackgroundWork& work);
  void SetTargets(const BackgroundWork& work);
  void Begin(const BackgroundWork& work);
  void Compute(const BackgroundWork& work, double ms);
  void Move(const BackgroundWork& work);
  void Fail(const BackgroundWork& work);

  BackgroundContext* const background_;
  Context* const context_;
  Scheduler* const scheduler_;
  Completions* const completions_;
  Statistics* const statistics_;
};
