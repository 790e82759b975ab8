// The llama_context that computes vectors: beside an engine, a second context on its model. Built,
// used and destroyed on the embedder's thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>

#include "core/pooled_vector.h"
#include "llama-cpp.h"
#include "llama.h"
#include "llama/compute_options.h"
#include "llama/compute_threads.h"
#include "llama/token_batch.h"
#include "schedule/embed_planner.h"

struct EmbedContextOptions : ComputeOptions {
  Pooling pooling = Pooling::kMean;
  // Tokens one input may have.
  int32_t n_ctx = 0;
  // Whether attention is bidirectional, so that an input has to be computed at once.
  bool whole_inputs = false;
  // Tokens computed at once, where inputs can be split.
  int32_t n_ubatch = 512;

  // Calls visit(name, &field) for each option that a caller of the addon may set.
  template <class Visitor>
  void VisitOptions(const Visitor& visit) {
    ComputeOptions::VisitOptions(visit);
    visit("pooling", &pooling);
    visit("contextLength", &n_ctx);
    visit("wholeInputs", &whole_inputs);
    visit("ubatchSize", &n_ubatch);
  }
};

class EmbedContext {
 public:
  // Reserves memory. `aborting` is read while computing: once true, Decode returns early where the
  // backend can (CPU). Throws std::exception when memory does not suffice, or the model cannot be
  // computed the way the options say.
  EmbedContext(const EmbedContextOptions& options, const std::atomic<bool>* aborting);

  // What fits a batch.
  const EmbedLimits& limits() const { return limits_; }
  // Values that one input is pooled to.
  int32_t n_values() const { return n_values_; }

  // Computes a batch of pieces, and returns when everything is computed. All tokens of a batch keep
  // their outputs.
  DecodeStatus Decode(TokenBatch* batch) { return batch->DecodeIn(context_.get()); }
  // The pooled vector of a sequence after the last Decode, valid until the next one; empty when
  // there is none.
  std::span<const float> Pooled(int32_t sequence);
  // Frees what the memory holds of a sequence.
  void Forget(int32_t sequence);

 private:
  EmbedLimits limits_;
  int32_t n_values_ = 0;
  ComputeThreads threads_;
  llama_context_ptr context_;
};
