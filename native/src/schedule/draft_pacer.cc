#include "schedule/draft_pacer.h"

#include <algorithm>

namespace {

// Weights of the newest value in the running averages: of costs, of the verified drafts of one
// sequence, and of those of all sequences.
constexpr double kCostWeight = 0.125;
constexpr double kRecordWeight = 0.25;
constexpr double kPriorWeight = 0.02;
// Steps without a draft between two trials. The number doubles when a trial fails, so that in the
// long run one token of 256 is drafted in vain.
constexpr int32_t kMinBackoff = 16;
constexpr int32_t kMaxBackoff = 256;
// Of the average number of tokens in a draft of a draft model.
constexpr double kMinTokens = 0.01;

void Blend(double sample, double weight, double* average) {
  *average += weight * (sample - *average);
}

}  // namespace

int32_t DraftPacer::Length(DraftRecord* record, int32_t n_decoding, double plain_ms) const {
  if (plain_ms <= 0) return 0;
  const double worth = plain_ms / n_decoding;
  const double cost = token_ms_ + (drafting_tokens_ > 0 ? drafting_ms_ / drafting_tokens_ : 0);
  int32_t n = 0;
  for (double chance = record->acceptance; n < n_max_ && chance * worth > cost;
       chance *= record->acceptance) {
    ++n;
  }
  if (n >= n_min_) {
    record->n_waited = 0;
    return n;
  }
  ++record->n_waited;
  return record->on_trial() ? n_min_ : 0;
}

void DraftPacer::ObserveStep(int32_t n_drafted, double ms, double plain_ms) {
  // A token that seems to cost more than a step of its own only met a step that was delayed.
  Blend(std::clamp((ms - plain_ms) / n_drafted, 0.0, plain_ms), kCostWeight, &token_ms_);
}

void DraftPacer::ObserveDrafting(int32_t n_drafted, double ms) {
  Blend(ms, kCostWeight, &drafting_ms_);
  Blend(n_drafted, kCostWeight, &drafting_tokens_);
  // Drafting that never finds anything has its price as well.
  drafting_tokens_ = std::max(drafting_tokens_, kMinTokens);
}

// The tokens behind the first rejected one say nothing.
void DraftPacer::ObserveOutcome(int32_t n_drafted, int32_t n_accepted, DraftRecord* record) {
  for (int32_t i = 0; i < std::min(n_accepted + 1, n_drafted); ++i) {
    const double right = i < n_accepted ? 1 : 0;
    Blend(right, kRecordWeight, &record->acceptance);
    Blend(right, kPriorWeight, &prior_);
  }
  BackOff(record, n_accepted == 0);
}

void DraftPacer::ObserveNothing(DraftRecord* record) { BackOff(record, true); }

void DraftPacer::BackOff(DraftRecord* record, bool longer) {
  record->n_waited = 0;
  record->backoff = longer ? std::min(kMaxBackoff, 2 * record->backoff) : kMinBackoff;
  backoff_ = longer ? std::max(backoff_, record->backoff) : kMinBackoff;
}
