#include "schedule/step_pacer.h"

#include <algorithm>
#include <cmath>

namespace {

// Weight of the newest step in the running averages.
constexpr double kWeight = 0.25;
// One step that another process delayed must not shrink many that follow.
constexpr double kMaxRise = 2.0;
constexpr int32_t kMinChunk = 8;
// Where decoding leaves a prompt little of the target, the prompt still gets this many times what
// the decodes take.
constexpr double kFairShare = 2.0;
// Steps with prompts among those that decode. Less than half: the median time between tokens is
// then that of decoding alone.
constexpr double kMaxPromptShare = 0.45;
// Weight of the newest step in the share: prompts that come and go within a few steps never reach
// the maximum.
constexpr double kShareWeight = 1.0 / 8;
// A token of a small piece may cost so much of what one of the cheapest piece does; less where only
// a request that might arrive would gain from it.
constexpr double kMaxCost = 1.3;
constexpr double kMaxCostAlone = 1.15;
// Of the target, for the same reason.
constexpr double kAloneShare = 4.0;
// Far more than any batch.
constexpr int32_t kMaxChunk = 1'000'000;

void Blend(double sample, double* average) {
  if (*average == 0) {
    *average = sample;
  } else {
    *average += kWeight * (std::min(sample, kMaxRise * *average) - *average);
  }
}

}  // namespace

void StepPacer::Observe(int32_t n_decoding, int32_t n_prefill, double ms) {
  if (n_prefill > 0) {
    // The least a token can cost here: a step cheaper than its decodes alone says "very little".
    const double floor = ms / (10.0 * n_prefill);
    Blend(std::max(floor, (ms - DecodeMs(n_decoding)) / n_prefill), &token_ms_[SizeOf(n_prefill)]);
    return;
  }
  if (decode_ms_.size() <= static_cast<size_t>(n_decoding)) decode_ms_.resize(n_decoding + 1, 0);
  Blend(ms, &decode_ms_[n_decoding]);
}

void StepPacer::Planned(bool has_prompts) {
  prompt_share_ += kShareWeight * ((has_prompts ? 1 : 0) - prompt_share_);
}

bool StepPacer::LeavesPromptsOut() const { return prompt_share_ > kMaxPromptShare; }

double StepPacer::PromptMs(int32_t n_decoding) const {
  const double decode_ms = n_decoding > 0 ? DecodeMs(n_decoding) : 0;
  return std::max(target_ms_ - decode_ms, kFairShare * decode_ms);
}

// Pieces of a bounded time would be the more the longer the prompts are, and each costs the prompts
// a share of it; prompts as a whole would delay everyone by all of their time. Between both, pieces
// grow with the square root of what is missing, and so does their number.
int32_t StepPacer::Chunk(int32_t n_decoding, int32_t n_missing, double share) const {
  const double least_ms = PromptMs(n_decoding);
  const double missing_ms = n_missing * TokenMs(kSizes - 1);
  return ChunkOf(share * std::max(least_ms, std::sqrt(least_ms * missing_ms)), kMaxCost);
}

int32_t StepPacer::ChunkAlone() const {
  if (TokenMs(kSizes - 1) == 0) return kMaxChunk;
  return ChunkOf(kAloneShare * target_ms_, kMaxCostAlone);
}

int32_t StepPacer::ChunkOf(double ms, double max_cost) const {
  for (size_t size = kSizes; size-- > 0;) {
    const double token_ms = TokenMs(size);
    if (token_ms == 0) return kMinChunk;
    const auto n = static_cast<int32_t>(std::min<double>(ms / token_ms, kMaxChunk));
    if (n < LeastOf(size)) continue;
    const int32_t n_max = size + 1 < kSizes ? LeastOf(size + 1) - 1 : n;
    return std::max(std::min(n, n_max), EfficientChunk(max_cost));
  }
  return std::max(kMinChunk, EfficientChunk(max_cost));
}

size_t StepPacer::SizeOf(int32_t n_tokens) {
  size_t size = 0;
  while (size + 1 < kSizes && n_tokens >= LeastOf(size + 1)) ++size;
  return size;
}

int32_t StepPacer::LeastOf(size_t size) { return size == 0 ? 1 : kMinChunk << size; }

double StepPacer::TokenMs(size_t size) const {
  for (size_t distance = 0; distance < kSizes; ++distance) {
    if (size + distance < kSizes && token_ms_[size + distance] > 0) {
      return token_ms_[size + distance];
    }
    if (size >= distance && token_ms_[size - distance] > 0) return token_ms_[size - distance];
  }
  return 0;
}

// Sizes that were not seen count as cheap, so that they are tried.
int32_t StepPacer::EfficientChunk(double max_cost) const {
  double cheapest = 0;
  for (const double ms : token_ms_) {
    if (ms > 0 && (cheapest == 0 || ms < cheapest)) cheapest = ms;
  }
  size_t size = 0;
  while (size + 1 < kSizes && token_ms_[size] > max_cost * cheapest) ++size;
  return std::max(kMinChunk, LeastOf(size));
}

// Between what was seen: more sequences cost at most in proportion, fewer no more.
double StepPacer::DecodeMs(int32_t n_decoding) const {
  const auto n_seen = static_cast<int32_t>(decode_ms_.size());
  for (int32_t n = std::min(n_decoding, n_seen - 1); n > 0; --n) {
    if (decode_ms_[n] > 0) return decode_ms_[n] * n_decoding / n;
  }
  for (int32_t n = n_decoding + 1; n < n_seen; ++n) {
    if (decode_ms_[n] > 0) return decode_ms_[n];
  }
  return 0;
}
