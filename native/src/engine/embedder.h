// The embedder: owns a context for vectors and computes the inputs of all requests in it, batch by
// batch. It is the worker of a thread (core/thread_loop.h) beside the engine's; the two share the
// model and know nothing of each other. All functions but the constructor belong to that thread.
#pragma once

#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/pooled_vector.h"
#include "core/thread_loop.h"
#include "engine/embed_messages.h"
#include "llama/embed_context.h"
#include "llama/token_batch.h"
#include "schedule/embed_planner.h"

struct EmbedderOptions {
  EmbedContextOptions context;
  // Linux's nice value of the thread and its compute threads, 0 to 19.
  int32_t niceness = 0;

  // Calls visit(name, &field) for each option that a caller of the addon may set.
  template <class Visitor>
  void VisitOptions(const Visitor& visit) {
    context.VisitOptions(visit);
    visit("niceness", &niceness);
  }
};

class Embedder {
 public:
  using Message = EmbedMessage;
  using Event = EmbedEvent;
  using Facts = EmbedderFacts;

  // Any thread. The model must outlive the embedder.
  Embedder(ThreadLink<Event> link, EmbedderOptions options);

  // What the thread calls, in this order.
  Facts Open();
  std::vector<Message> Receive(Mailbox<Message>* mailbox, bool idle);
  void Handle(Message message);
  // One batch. False if there was nothing to compute.
  bool Step();
  void End(std::vector<Message> unhandled, const std::optional<std::string>& failure) noexcept;

 private:
  // A request that is being computed.
  struct Job {
    Embed request;
    // Values of the result: rows of n_row.
    std::vector<float> values = {};
    int32_t n_row = 0;
    size_t n_inputs_left = 0;
    // The input that is partly computed.
    std::optional<PooledVector> partial = {};
    // Set when the first batch with one of its inputs begins.
    std::optional<Clock::time_point> started_at = {};
  };

  void Start(Embed request);
  void FillBatch(const std::vector<EmbedPiece>& pieces);
  void Collect(const std::vector<EmbedPiece>& pieces);
  // Adds the pooled values of a piece. False, with a reason, if they are unusable.
  bool Collect(const EmbedPiece& piece, Job* job, std::string* reason);
  void FailRequests(const std::vector<EmbedPiece>& pieces, const std::string& reason);
  // Ends a request and emits its final event. Does nothing if it has ended already.
  void EndRequest(EmbedRequestId id, Event event);

  const EmbedderOptions options_;
  const ThreadLink<Event> link_;

  // Exist from Open to End.
  std::optional<EmbedContext> context_;
  std::optional<EmbedPlanner> planner_;
  std::unordered_map<EmbedRequestId, Job> jobs_;
  TokenBatch batch_;
};

using EmbedderThread = ThreadLoop<Embedder>;
