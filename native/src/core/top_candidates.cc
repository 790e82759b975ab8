#include "core/top_candidates.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <functional>
#include <limits>

namespace {

constexpr float kNone = -std::numeric_limits<float>::infinity();
// Values whose highest is looked at first. Small beside a vocabulary, large beside a vector
// register.
constexpr size_t kBlock = 64;
constexpr size_t kLanes = 16;

// Lanes keep the pass free of branches, so that the compiler vectorizes it. NaN loses every
// comparison.
float HighestOf(std::span<const float> values) {
  std::array<float, kLanes> best;
  best.fill(kNone);
  size_t i = 0;
  for (; i + kLanes <= values.size(); i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      best[lane] = values[i + lane] > best[lane] ? values[i + lane] : best[lane];
    }
  }
  float highest = kNone;
  for (const float value : best) highest = value > highest ? value : highest;
  for (; i < values.size(); ++i) highest = values[i] > highest ? values[i] : highest;
  return highest;
}

bool IsLikelier(const TopCandidates::Candidate& a, const TopCandidates::Candidate& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
}

}  // namespace

// Among the maxima of all blocks, the k-th highest is a lower bound of the k highest logits: k
// blocks have a logit that is at lower_bound as high. Few other logits pass this bound.
std::span<const TopCandidates::Candidate> TopCandidates::Find(std::span<const float> logits,
                                                              int32_t k) {
  highest_.clear();
  for (size_t begin = 0; begin < logits.size(); begin += kBlock) {
    const size_t n = std::min(kBlock, logits.size() - begin);
    highest_.push_back(HighestOf(logits.subspan(begin, n)));
  }
  float lower_bound = kNone;
  const auto n_wanted = static_cast<size_t>(k);
  if (highest_.size() > n_wanted) {
    scratch_ = highest_;
    const auto kth = scratch_.begin() + (k - 1);
    std::nth_element(scratch_.begin(), kth, scratch_.end(), std::greater());
    lower_bound = *kth;
  }

  candidates_.clear();
  for (size_t block = 0; block < highest_.size(); ++block) {
    if (!(highest_[block] >= lower_bound) || highest_[block] == kNone) continue;
    const size_t end = std::min(logits.size(), (block + 1) * kBlock);
    for (size_t i = block * kBlock; i < end; ++i) {
      if (logits[i] >= lower_bound && logits[i] > kNone) {
        candidates_.push_back({static_cast<int32_t>(i), logits[i]});
      }
    }
  }
  const auto n_found = static_cast<ptrdiff_t>(std::min(n_wanted, candidates_.size()));
  std::partial_sort(candidates_.begin(), candidates_.begin() + n_found, candidates_.end(),
                    IsLikelier);
  candidates_.resize(n_found);
  return candidates_;
}
