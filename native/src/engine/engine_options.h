// What an engine is configured with.
#pragma once

#include <cstdint>

#include "engine/request.h"
#include "llama/context.h"
#include "llama/drafter.h"

struct EngineOptions {
  ContextOptions context;
  // Milliseconds by which prompts may delay the decoding sequences of a step, above 0.
  double step_target_ms = 50;
  // Texts may wait this many milliseconds after the latest flush, and for the rest of a step that
  // decodes, to leave together. The first text of a sequence never waits, and any other event takes
  // the waiting texts along.
  double stream_interval_ms = 0;
  // Whether to compute on fewer threads while other processes want the same cores.
  bool adapts_threads = false;
  // Threads that sample tokens, including the engine thread.
  int32_t n_sampling_threads = 1;
  DraftOptions drafts;

  // Calls visit(name, &field) for each option that a caller of the addon may set.
  template <class Visitor>
  void VisitOptions(const Visitor& visit) {
    context.VisitOptions(visit);
    visit("stepTargetMs", &step_target_ms);
    visit("streamIntervalMs", &stream_interval_ms);
    visit("adaptsThreads", &adapts_threads);
    visit("samplingThreadCount", &n_sampling_threads);
    visit("speculative", &drafts);
  }

  Clock::duration stream_interval() const;
};

// The options with what follows from others: room in a batch for a token of every slot, and for the
// drafts of some.
EngineOptions Complete(EngineOptions options);
