// What crosses between the embedder's thread and its callers: plain data, owned by its holder.
#pragma once

#include <cstdint>
#include <memory>
#include <variant>
#include <vector>

#include "core/thread_loop.h"
#include "engine/embed_inputs.h"
#include "engine/request.h"
#include "schedule/embed_planner.h"

// Into the embedder
// ----------------------------------------------------------------------------------

struct Embed {
  EmbedRequestId id = 0;
  // At least one, none longer than the embedder's context.
  std::shared_ptr<const EmbedInputs> inputs;
  // Values to keep of each vector, from 1 to its width. Ignored by a ranking embedder.
  int32_t n_dimensions = 1;
  Clock::time_point submitted_at;
};

using EmbedMessage = std::variant<Embed, Cancel>;

// Out of the embedder
// --------------------------------------------------------------------------------

// Nothing is known of a started embedder that its options do not say.
struct EmbedderFacts {};

struct EmbedEnd {
  EmbedRequestId id = 0;
  // [n_inputs, n_dimensions], row-major; one score for each input from a ranking embedder.
  std::vector<float> values;
  double queue_ms = 0;
  double compute_ms = 0;
};

struct EmbedCancelled {
  EmbedRequestId id = 0;
};

using EmbedEvent =
    std::variant<Started<EmbedderFacts>, EmbedEnd, EmbedCancelled, RequestError, Failed, Stopped>;
