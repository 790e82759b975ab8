// The embedder: one thread that owns a context for vectors and computes the inputs of all requests
// in it, batch by batch. The engine beside it, where there is one, knows nothing of it.
//
//   callers --Embed, CancelEmbed, CloseEmbedder--> mailbox --> Step() --> events --> sink
//
// Nothing else crosses, as with the engine.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "core/live_threads.h"
#include "core/mailbox.h"
#include "core/pooled_vector.h"
#include "engine/embed_messages.h"
#include "llama/embed_context.h"
#include "schedule/embed_planner.h"

struct EmbedderOptions {
  EmbedContextOptions context;
  // How far the thread and its compute threads step back behind others, 0 to 19 (Linux's nice).
  int32_t niceness = 0;

  // Calls visit(name, &field) for each option that a caller of the addon may set.
  template <class Visitor>
  void VisitOptions(const Visitor& visit) {
    context.VisitOptions(visit);
    visit("niceness", &niceness);
  }
};

// Receives the events of one step, on the embedder's thread. Must not block and must not throw.
using EmbedEventSink = std::function<void(std::vector<EmbedEvent>)>;

class Embedder : public LiveThread {
 public:
  // Starts the thread, which builds the context and then tells `EmbedderStarted` or
  // `EmbedderFailed`. The model must outlive the embedder.
  Embedder(EmbedderOptions options, EmbedEventSink sink);
  // Closes and joins.
  ~Embedder() override;
  Embedder(const Embedder&) = delete;
  Embedder& operator=(const Embedder&) = delete;

  // Any thread. Each request gets exactly one EmbedEnd, EmbedCancelled or EmbedError, also when the
  // embedder closes or fails, unless it comes after `EmbedderStopped`; a message for a request that
  // has ended changes nothing.
  void Post(EmbedMessage message);

  // Any thread. Ends every request as cancelled and stops the thread; returns at once. Idempotent.
  void RequestClose() override;

  // Any thread but the embedder's. Waits until the thread has ended, and with it the last call of
  // the sink.
  void Join() override;

 private:
  // A request that is being computed.
  struct Job {
    Embed request;
    // Values of the result: rows of n_row.
    std::vector<float> values = {};
    int32_t n_row = 0;
    size_t n_inputs_left = 0;
    // The input of which some pieces are computed.
    std::optional<PooledVector> partial = {};
    // Set when the first batch with one of its inputs begins.
    std::optional<std::chrono::steady_clock::time_point> started_at = {};
  };

  // The thread, in calling order.
  void Run() noexcept;
  void RunSteps();
  void Handle(EmbedMessage message);
  void Start(Embed request);
  // One batch. False when there was nothing to compute.
  bool Step();
  void FillBatch(const std::vector<EmbedPiece>& pieces);
  void Collect(const std::vector<EmbedPiece>& pieces);
  // Adds what a piece was pooled to; false, with a reason, when that is nothing to go on with.
  bool Collect(const EmbedPiece& piece, Job* job, std::string* reason);
  void FailRequests(const std::vector<EmbedPiece>& pieces, const std::string& reason);
  void EndRequest(EmbedRequestId id, EmbedEvent event);
  void EndEverything(const std::optional<std::string>& failure);
  void Flush();

  const EmbedderOptions options_;
  const EmbedEventSink sink_;
  Mailbox<EmbedMessage> mailbox_;
  // Also read by llama.cpp while it computes, to stop early.
  std::atomic<bool> closing_{false};

  // Owned by the thread.
  std::optional<EmbedContext> context_;
  std::optional<EmbedPlanner> planner_;
  std::unordered_map<EmbedRequestId, Job> jobs_;
  std::vector<EmbedEvent> events_;

  std::mutex join_mutex_;
  // Last: starts when everything above exists.
  std::thread thread_;
};
