// What crosses between the embedder's thread and its callers: plain data, owned by whoever holds
// it.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "core/error.h"
#include "engine/embed_inputs.h"
#include "schedule/embed_planner.h"

// Into the embedder
// ----------------------------------------------------------------------------------

struct Embed {
  EmbedRequestId id = 0;
  // At least one, none longer than the embedder's context.
  std::shared_ptr<const EmbedInputs> inputs;
  // Values kept of each vector, from 1 to its width. Without meaning where inputs are ranked.
  int32_t n_dimensions = 1;
  std::chrono::steady_clock::time_point submitted_at;
};

struct CancelEmbed {
  EmbedRequestId id = 0;
};

struct CloseEmbedder {};

using EmbedMessage = std::variant<Embed, CancelEmbed, CloseEmbedder>;

// Out of the embedder
// --------------------------------------------------------------------------------

// The context exists. Comes once, first, unless EmbedderFailed does.
struct EmbedderStarted {};

struct EmbedEnd {
  EmbedRequestId id = 0;
  // [n_inputs, n_dimensions], or one score for each input where they are ranked.
  std::vector<float> values;
  double queue_ms = 0;
  double compute_ms = 0;
};

struct EmbedCancelled {
  EmbedRequestId id = 0;
};

struct EmbedError {
  EmbedRequestId id = 0;
  ErrorCode code = ErrorCode::kEngineFailed;
  std::string message;
};

// The embedder cannot go on. Every request has had its EmbedError.
struct EmbedderFailed {
  std::string message;
};

// The context is freed and the thread ends: nothing comes after this.
struct EmbedderStopped {};

using EmbedEvent = std::variant<EmbedderStarted, EmbedEnd, EmbedCancelled, EmbedError,
                                EmbedderFailed, EmbedderStopped>;
