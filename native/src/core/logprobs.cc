#include "core/logprobs.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace {

bool IsLikelier(const Logprobs::Candidate& a, const Logprobs::Candidate& b) {
  return a.logprob != b.logprob ? a.logprob > b.logprob : a.token < b.token;
}

// The n highest logits, the highest first. A heap whose top is the lowest of them: after the first
// few hundred tokens of a row hardly any gets in.
std::vector<Logprobs::Candidate> Highest(std::span<const float> logits, int32_t n) {
  std::vector<Logprobs::Candidate> heap;
  if (n <= 0) return heap;
  heap.reserve(static_cast<size_t>(n) + 1);
  for (size_t i = 0; i < logits.size(); ++i) {
    const bool is_full = heap.size() == static_cast<size_t>(n);
    if (is_full && !(logits[i] > heap.front().logprob)) continue;
    heap.push_back({static_cast<int32_t>(i), logits[i]});
    std::ranges::push_heap(heap, IsLikelier);
    if (!is_full) continue;
    std::ranges::pop_heap(heap, IsLikelier);
    heap.pop_back();
  }
  std::ranges::sort_heap(heap, IsLikelier);
  return heap;
}

}  // namespace

Logprobs::Logprobs(std::span<const float> logits, int32_t n_top) : logits_(logits) {
  float highest = -INFINITY;
  for (const float logit : logits) highest = std::max(highest, logit);
  double total = 0;
  for (const float logit : logits) total += std::exp(logit - highest);
  log_total_ = double{highest} + std::log(total);
  // A NaN anywhere makes the sum one; so do infinities that cancel out.
  if (!std::isfinite(log_total_)) throw std::runtime_error("the model computed no usable logits");
  top_ = Highest(logits, n_top);
  for (Candidate& candidate : top_) candidate.logprob = Of(candidate.token);
}

float Logprobs::Of(int32_t token) const {
  return static_cast<float>(
      std::min(0.0, double{logits_[static_cast<size_t>(token)]} - log_total_));
}

int32_t Logprobs::RankOf(int32_t token) const {
  const float logit = logits_[static_cast<size_t>(token)];
  return 1 + static_cast<int32_t>(
                 std::ranges::count_if(logits_, [&](float each) { return each > logit; }));
}
