#include "schedule/embed_planner.h"

#include <algorithm>
#include <utility>

namespace {

// Whole inputs have the sequence ids after it.
constexpr int32_t kLongSequence = 0;

}  // namespace

void EmbedPlanner::Add(EmbedRequestId id, std::vector<int32_t> input_sizes) {
  requests_.emplace(id, Request{std::move(input_sizes)});
  turns_.push_back(id);
}

void EmbedPlanner::Remove(EmbedRequestId id) {
  requests_.erase(id);
  std::erase(turns_, id);
  if (long_ && long_->request == id) long_.reset();
}

std::vector<EmbedPiece> EmbedPlanner::Plan() {
  std::vector<EmbedPiece> pieces;
  if (!long_ || last_was_long_) PlanInputs(&pieces);
  last_was_long_ = pieces.empty() && long_.has_value();
  if (last_was_long_) pieces.push_back(NextOfLong());
  return pieces;
}

void EmbedPlanner::PlanInputs(std::vector<EmbedPiece>* pieces) {
  int32_t n_left = limits_.n_batch;
  // Requests whose next input may still fit, in the order of their turns.
  std::deque<EmbedRequestId> candidates = turns_;
  while (!candidates.empty() && static_cast<int32_t>(pieces->size()) < limits_.n_inputs) {
    const EmbedRequestId id = candidates.front();
    candidates.pop_front();
    const Request& request = requests_.at(id);
    const int32_t n_tokens = request.input_sizes[request.next];
    if (IsLong(n_tokens)) {
      if (long_ || !pieces->empty()) continue;
      long_ = Long{.request = id, .input = TakeInput(id), .n_tokens = n_tokens};
      break;
    }
    if (n_tokens > n_left && !pieces->empty()) continue;
    const int32_t input = TakeInput(id);
    pieces->push_back({
        .request = id,
        .input = input,
        .n_tokens = n_tokens,
        .sequence = kLongSequence + 1 + static_cast<int32_t>(pieces->size()),
        .is_last = true,
    });
    n_left -= n_tokens;
    if (requests_.contains(id)) candidates.push_back(id);
  }
  // The request that began this batch comes last in the next one.
  if (turns_.size() > 1) std::rotate(turns_.begin(), turns_.begin() + 1, turns_.end());
}

EmbedPiece EmbedPlanner::NextOfLong() {
  const int32_t n_tokens = std::min(limits_.n_batch, long_->n_tokens - long_->n_done);
  const EmbedPiece piece{
      .request = long_->request,
      .input = long_->input,
      .first = long_->n_done,
      .n_tokens = n_tokens,
      .sequence = kLongSequence,
      .is_last = long_->n_done + n_tokens == long_->n_tokens,
  };
  long_->n_done += n_tokens;
  if (piece.is_last) long_.reset();
  return piece;
}

int32_t EmbedPlanner::TakeInput(EmbedRequestId id) {
  Request& request = requests_.at(id);
  const auto input = static_cast<int32_t>(request.next++);
  if (request.next == request.input_sizes.size()) {
    requests_.erase(id);
    std::erase(turns_, id);
  }
  return input;
}
