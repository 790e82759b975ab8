// Prompts, limits and steps for tests of the scheduler and its policies.
#pragma once

#include <doctest.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "schedule/scheduler.h"

inline SchedulerLimits Limits(int32_t n_slots, int32_t n_cells, int32_t n_batch = 256,
                              int32_t n_ubatch = 64) {
  return {.n_slots = n_slots,
          .n_batch = n_batch,
          .n_ubatch = n_ubatch,
          .cache = {.n_ids = n_slots + 8, .n_cells = n_cells}};
}

inline std::vector<Token> Range(Token first, int32_t n) {
  std::vector<Token> tokens(n);
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

inline std::vector<Token> Joined(std::vector<Token> tokens, const std::vector<Token>& tail) {
  tokens.insert(tokens.end(), tail.begin(), tail.end());
  return tokens;
}

// A prompt that shares nothing with another id's.
inline void AddUnique(Scheduler* scheduler, SequenceId id, int32_t n_tokens) {
  scheduler->Add(id, Range(static_cast<Token>(id) * 100'000, n_tokens), "");
}

inline int32_t TotalTokens(const StepPlan& plan) {
  int32_t n = 0;
  for (const StepWork& work : plan.work) n += work.n_tokens;
  return n;
}

inline const StepWork* WorkOf(const StepPlan& plan, SequenceId id) {
  const auto found = std::find_if(plan.work.begin(), plan.work.end(),
                                  [id](const StepWork& work) { return work.id == id; });
  return found == plan.work.end() ? nullptr : &*found;
}

// The only share of the background prefill.
inline BackgroundShare BackgroundOf(const StepPlan& plan) {
  REQUIRE(plan.background);
  REQUIRE(plan.background->shares.size() == 1);
  return plan.background->shares[0];
}

// Runs one step as the engine does: every sequence that samples grows by a token. A prompt token
// takes a millisecond, decoding nothing.
inline StepPlan RunStep(Scheduler* scheduler) {
  StepPlan plan = scheduler->Plan();
  scheduler->Commit(plan);
  for (const StepWork& work : plan.work) {
    if (work.samples) scheduler->Append(work.id, std::vector<Token>{-1});
  }
  if (!plan.empty()) scheduler->Measured(plan, 1.0 * TotalTokens(plan));
  scheduler->CheckIntegrity();
  return plan;
}

// Steps until a sequence has given way.
inline void RunUntilPreempted(Scheduler* scheduler) {
  const uint64_t n_preempted = scheduler->n_preempted();
  for (int i = 0; i < 200 && scheduler->n_preempted() == n_preempted; ++i) RunStep(scheduler);
  REQUIRE(scheduler->n_preempted() > n_preempted);
}
