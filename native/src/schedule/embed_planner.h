// Policy of the embedder: which inputs are computed in the next batch. Pure; belongs to the
// embedder's thread.
//
// Requests take turns, one input each, so that a request of one input does not wait for one of two
// thousand. An input is computed in one batch wherever it fits; a longer one comes in pieces, one
// batch each, in turn with the batches of the other requests.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <unordered_map>
#include <vector>

using EmbedRequestId = uint64_t;

// What a step computes of one input.
struct EmbedPiece {
  EmbedRequestId request = 0;
  // Index of the input in its request.
  int32_t input = 0;
  // The tokens [first, first + n_tokens) of it.
  int32_t first = 0;
  int32_t n_tokens = 0;
  // The id it has in the context's memory while it is computed, below EmbedLimits::n_sequences.
  int32_t sequence = 0;
  bool is_last = false;
};

struct EmbedLimits {
  // Tokens of a batch, at least 1. A longer input is computed in pieces of so many tokens, or,
  // where inputs must stay whole, alone.
  int32_t n_batch = 512;
  // Inputs of a batch, at least 1, and ids of sequences: one more, for the input in pieces.
  int32_t n_inputs = 32;
  // Whether attention is bidirectional, so that an input cannot be computed in pieces.
  bool whole_inputs = false;
};

class EmbedPlanner {
 public:
  explicit EmbedPlanner(const EmbedLimits& limits) : limits_(limits) {}

  // Adds a request whose inputs have that many tokens, at least one input and one token each.
  void Add(EmbedRequestId id, std::vector<int32_t> input_sizes);

  // Forgets a request; one that is not there is left alone.
  void Remove(EmbedRequestId id);

  // The next batch, empty when there is nothing to do. What it holds counts as computed; a request
  // all of whose inputs were planned is forgotten.
  std::vector<EmbedPiece> Plan();

  int32_t n_requests() const { return static_cast<int32_t>(requests_.size()); }

 private:
  struct Request {
    std::vector<int32_t> input_sizes;
    // Inputs before it were planned.
    size_t next = 0;
  };
  // The input that is computed in pieces.
  struct Long {
    EmbedRequestId request = 0;
    int32_t input = 0;
    int32_t n_tokens = 0;
    int32_t n_done = 0;
  };

  bool IsLong(int32_t n_tokens) const {
    return n_tokens > limits_.n_batch && !limits_.whole_inputs;
  }
  // Fills `pieces` with whole inputs, and starts a long one whose turn it is while there are none.
  void PlanInputs(std::vector<EmbedPiece>* pieces);
  EmbedPiece NextOfLong();
  // Takes the request's next input; forgets the request after its last.
  int32_t TakeInput(EmbedRequestId id);

  const EmbedLimits limits_;
  std::unordered_map<EmbedRequestId, Request> requests_;
  // Requests with inputs that were not planned; the one at the front begins the next batch.
  std::deque<EmbedRequestId> turns_;
  std::optional<Long> long_;
  bool last_was_long_ = false;
};
