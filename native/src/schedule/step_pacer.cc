#include "schedule/step_pacer.h"

#include <algorithm>

namespace {

// Weight of the newest step in the running averages.
constexpr double kWeight = 0.25;
// One step that another process delayed must not shrink many that follow.
constexpr double kMaxRise = 2.0;
constexpr int32_t kMinChunk = 8;
// Where decoding leaves a prompt little of the target, the prompt still gets this many times what
// the decodes take: then it keeps at least half of its speed alone, although small chunks are
// computed less efficiently than large ones.
constexpr double kFairShare = 2.0;
// Far more than any batch.
constexpr double kMaxChunk = 1e6;

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
    Blend(std::max(floor, (ms - DecodeMs(n_decoding)) / n_prefill), &prefill_ms_);
    return;
  }
  if (decode_ms_.size() <= static_cast<size_t>(n_decoding)) decode_ms_.resize(n_decoding + 1, 0);
  Blend(ms, &decode_ms_[n_decoding]);
}

double StepPacer::PromptMs(int32_t n_decoding) const {
  const double decode_ms = n_decoding > 0 ? DecodeMs(n_decoding) : 0;
  return std::max(target_ms_ - decode_ms, std::min(target_ms_, kFairShare * decode_ms));
}

int32_t StepPacer::Chunk(int32_t n_decoding, double share) const {
  if (prefill_ms_ == 0) return kMinChunk;
  const double ms = share * PromptMs(n_decoding);
  return std::max(kMinChunk, static_cast<int32_t>(std::min(ms / prefill_ms_, kMaxChunk)));
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
