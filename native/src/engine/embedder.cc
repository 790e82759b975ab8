#include "engine/embedder.h"

#ifdef __linux__
#include <sys/resource.h>
#include <unistd.h>
#endif

#include <algorithm>
#include <chrono>
#include <cmath>
#include <span>
#include <utility>
#include <variant>

namespace {

// After a rest each request waits this long for the next one: together they take one batch.
constexpr std::chrono::microseconds kQuiet{1000};
constexpr std::chrono::microseconds kMaxGathering{5000};

// Threads started by this thread inherit the priority. On other systems than Linux it would apply
// to the whole process.
void LowerPriority([[maybe_unused]] int32_t niceness) {
#ifdef __linux__
  if (niceness > 0) setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), niceness);
#endif
}

}  // namespace

Embedder::Embedder(ThreadLink<Event> link, EmbedderOptions options)
    : options_(std::move(options)), link_(link) {}

EmbedderFacts Embedder::Open() {
  LowerPriority(options_.niceness);
  context_.emplace(options_.context, link_.closing);
  planner_.emplace(context_->limits());
  return {};
}

std::vector<EmbedMessage> Embedder::Receive(Mailbox<Message>* mailbox, bool idle) {
  const auto more_to_come = [] { return false; };
  return idle ? mailbox->WaitAndTakeAll(kQuiet, kMaxGathering, more_to_come) : mailbox->TakeAll();
}

void Embedder::Handle(Message message) {
  if (auto* request = std::get_if<Embed>(&message)) {
    Start(std::move(*request));
  } else if (const auto* cancel = std::get_if<Cancel>(&message)) {
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
    link_.events->Emit(
        RequestError{id, ErrorCode::kBadRequest, "the request does not fit the model"});
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
  switch (context_->Decode(&batch_)) {
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
  const auto now = Clock::now();
  batch_.Clear();
  for (const EmbedPiece& piece : pieces) {
    Job& job = jobs_.at(piece.request);
    if (!job.started_at) job.started_at = now;
    const std::span<const llama_token> tokens = job.request.inputs->tokens[piece.input];
    // The sequence id may still hold the tokens of an input that was cancelled.
    if (piece.first == 0) context_->Forget(piece.sequence);
    batch_.Add(piece.sequence, piece.first, tokens.subspan(piece.first, piece.n_tokens),
               piece.n_tokens);
  }
}

void Embedder::Collect(const std::vector<EmbedPiece>& pieces) {
  for (const EmbedPiece& piece : pieces) {
    const auto found = jobs_.find(piece.request);
    // The request has ended: another of its inputs failed in this batch.
    if (found == jobs_.end()) continue;
    Job& job = found->second;
    if (std::string reason; !Collect(piece, &job, &reason)) {
      EndRequest(piece.request, RequestError{piece.request, ErrorCode::kSequenceFailed, reason});
    } else if (job.n_inputs_left == 0) {
      const auto now = Clock::now();
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
  // At most one input at a time is computed in pieces; whole inputs may come between them.
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
    EndRequest(piece.request, RequestError{piece.request, ErrorCode::kSequenceFailed, reason});
  }
}

void Embedder::EndRequest(EmbedRequestId id, Event event) {
  if (jobs_.erase(id) == 0) return;
  planner_->Remove(id);
  link_.events->Emit(std::move(event));
}

void Embedder::End(std::vector<Message> unhandled,
                   const std::optional<std::string>& failure) noexcept {
  const auto end = [&](EmbedRequestId id) {
    if (failure) {
      link_.events->Emit(RequestError{id, ErrorCode::kEngineFailed, *failure});
    } else {
      link_.events->Emit(EmbedCancelled{id});
    }
  };
  for (const auto& [id, job] : jobs_) end(id);
  for (const Message& message : unhandled) {
    if (const auto* request = std::get_if<Embed>(&message)) end(request->id);
  }
  jobs_.clear();
  planner_.reset();
  context_.reset();
}
