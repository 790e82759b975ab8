#include "engine/embedder.h"

#ifdef __linux__
#include <sys/resource.h>
#include <unistd.h>
#endif

#include <algorithm>
#include <chrono>
#include <cmath>
#include <exception>
#include <span>
#include <utility>

namespace {

using SteadyClock = std::chrono::steady_clock;

// After a rest the first request waits this long for the next, and so on: together they take one
// batch.
constexpr std::chrono::microseconds kQuiet{1000};
constexpr std::chrono::microseconds kLongestGathering{5000};

double Milliseconds(SteadyClock::duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

// Threads that are started from here inherit it. Elsewhere than on Linux it would be the whole
// process that steps back.
void StepBack([[maybe_unused]] int32_t niceness) {
#ifdef __linux__
  if (niceness > 0) setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), niceness);
#endif
}

}  // namespace

Embedder::Embedder(EmbedderOptions options, EmbedEventSink sink)
    : options_(options), sink_(std::move(sink)), thread_([this] { Run(); }) {}

Embedder::~Embedder() {
  RequestClose();
  Join();
}

void Embedder::Post(EmbedMessage message) { mailbox_.Push(std::move(message)); }

void Embedder::RequestClose() {
  closing_.store(true, std::memory_order_relaxed);
  mailbox_.Push(CloseEmbedder{});
}

void Embedder::Join() {
  const std::lock_guard lock(join_mutex_);
  if (thread_.joinable()) thread_.join();
}

void Embedder::Run() noexcept {
  std::optional<std::string> failure;
  try {
    StepBack(options_.niceness);
    RunSteps();
  } catch (const std::exception& error) {
    failure = error.what();
  } catch (...) {
    failure = "an exception of unknown type";
  }
  EndEverything(failure);
  context_.reset();
  events_.push_back(EmbedderStopped{});
  Flush();
}

void Embedder::RunSteps() {
  context_.emplace(options_.context, &closing_);
  planner_.emplace(context_->limits());
  events_.push_back(EmbedderStarted{});
  bool idle = false;
  while (!closing_.load(std::memory_order_relaxed)) {
    Flush();
    auto messages = idle ? mailbox_.WaitAndTakeAll(kQuiet, kLongestGathering, [] { return false; })
                         : mailbox_.TakeAll();
    for (EmbedMessage& message : messages) Handle(std::move(message));
    idle = !Step();
  }
}

void Embedder::Handle(EmbedMessage message) {
  if (auto* request = std::get_if<Embed>(&message)) {
    Start(std::move(*request));
  } else if (const auto* cancel = std::get_if<CancelEmbed>(&message)) {
    EndRequest(cancel->id, EmbedCancelled{cancel->id});
  }
}

void Embedder::Start(Embed request) {
  const EmbedRequestId id = request.id;
  const std::vector<std::vector<llama_token>>& inputs = request.inputs->tokens;
  std::vector<int32_t> sizes;
  sizes.reserve(inputs.size());
  for (const auto& tokens : inputs) sizes.push_back(static_cast<int32_t>(tokens.size()));
  const auto fits = [&](int32_t n) { return n >= 1 && n <= options_.context.n_ctx; };
  const bool ranks = options_.context.pooling == Pooling::kRank;
  const int32_t n_row = ranks ? 1 : request.n_dimensions;
  if (sizes.empty() || !std::ranges::all_of(sizes, fits) || n_row < 1 ||
      n_row > context_->n_values()) {
    events_.push_back(EmbedError{id, ErrorCode::kBadRequest, "the request does not fit the model"});
    return;
  }
  Job job{.request = std::move(request), .n_row = n_row, .n_inputs_left = sizes.size()};
  job.values.resize(sizes.size() * static_cast<size_t>(n_row));
  jobs_.emplace(id, std::move(job));
  planner_->Add(id, std::move(sizes));
}

bool Embedder::Step() {
  const std::vector<EmbedPiece> pieces = planner_->Plan();
  if (pieces.empty()) return false;
  FillBatch(pieces);
  switch (context_->Decode()) {
    case DecodeStatus::kOk:
      Collect(pieces);
      break;
    case DecodeStatus::kAborted:
      break;
    case DecodeStatus::kNoRoom:
      FailRequests(pieces, "the memory has no room for the inputs");
      break;
    case DecodeStatus::kFailed:
      FailRequests(pieces, "llama_decode could not compute the inputs");
      break;
  }
  for (const EmbedPiece& piece : pieces) {
    if (piece.is_last) context_->Forget(piece.sequence);
  }
  return true;
}

void Embedder::FillBatch(const std::vector<EmbedPiece>& pieces) {
  const auto now = SteadyClock::now();
  context_->BeginBatch();
  for (const EmbedPiece& piece : pieces) {
    Job& job = jobs_.at(piece.request);
    if (!job.started_at) job.started_at = now;
    const std::span<const llama_token> tokens = job.request.inputs->tokens[piece.input];
    context_->Add(piece, tokens.subspan(piece.first, piece.n_tokens));
  }
}

void Embedder::Collect(const std::vector<EmbedPiece>& pieces) {
  for (const EmbedPiece& piece : pieces) {
    const auto found = jobs_.find(piece.request);
    // One of its inputs has failed in this batch.
    if (found == jobs_.end()) continue;
    Job& job = found->second;
    if (std::string reason; !Collect(piece, &job, &reason)) {
      EndRequest(piece.request, EmbedError{piece.request, ErrorCode::kSequenceFailed, reason});
    } else if (job.n_inputs_left == 0) {
      const auto now = SteadyClock::now();
      const auto started_at = *job.started_at;
      EndRequest(piece.request, EmbedEnd{
                                    .id = piece.request,
                                    .values = std::move(job.values),
                                    .queue_ms = Milliseconds(started_at - job.request.submitted_at),
                                    .compute_ms = Milliseconds(now - started_at),
                                });
    }
  }
}

bool Embedder::Collect(const EmbedPiece& piece, Job* job, std::string* reason) {
  const std::span<const float> pooled = context_->Pooled(piece.sequence);
  if (pooled.empty()) {
    *reason = "the model gave no vector";
    return false;
  }
  // Of all inputs one at most is in pieces; whole ones come between them.
  const bool in_pieces = piece.first > 0 || !piece.is_last;
  PooledVector whole(options_.context.pooling);
  if (in_pieces && !job->partial) job->partial.emplace(options_.context.pooling);
  PooledVector& vector = in_pieces ? *job->partial : whole;
  vector.Add(pooled, piece.n_tokens);
  if (!piece.is_last) return true;

  const std::span<float> row =
      std::span(job->values)
          .subspan(static_cast<size_t>(piece.input) * static_cast<size_t>(job->n_row), job->n_row);
  bool is_number = true;
  if (options_.context.pooling == Pooling::kRank) {
    row[0] = vector.values()[0];
    is_number = std::isfinite(row[0]);
  } else {
    is_number = NormaliseInto(vector.values(), row);
  }
  if (in_pieces) job->partial.reset();
  --job->n_inputs_left;
  if (!is_number) *reason = "the model's values are no numbers";
  return is_number;
}

void Embedder::FailRequests(const std::vector<EmbedPiece>& pieces, const std::string& reason) {
  for (const EmbedPiece& piece : pieces) {
    EndRequest(piece.request, EmbedError{piece.request, ErrorCode::kSequenceFailed, reason});
  }
}

// Ends a request once; whoever asks for more finds nothing.
void Embedder::EndRequest(EmbedRequestId id, EmbedEvent event) {
  if (jobs_.erase(id) == 0) return;
  planner_->Remove(id);
  events_.push_back(std::move(event));
}

void Embedder::EndEverything(const std::optional<std::string>& failure) {
  const auto end = [&](EmbedRequestId id) {
    if (failure) {
      events_.push_back(EmbedError{id, ErrorCode::kEngineFailed, *failure});
    } else {
      events_.push_back(EmbedCancelled{id});
    }
  };
  for (const auto& [id, job] : jobs_) end(id);
  for (const EmbedMessage& message : mailbox_.TakeAll()) {
    if (const auto* request = std::get_if<Embed>(&message)) end(request->id);
  }
  jobs_.clear();
  planner_.reset();
  if (failure) events_.push_back(EmbedderFailed{*failure});
}

void Embedder::Flush() {
  if (!events_.empty()) sink_(std::exchange(events_, {}));
}
