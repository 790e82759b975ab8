// How many draft tokens a sequence gets, so that speculative decoding pays: an accepted token saves
// a step, a rejected one has cost what a further token costs in the batch. Learns from measured
// steps and verified drafts; reads no clock.
#pragma once

#include <cstdint>

// Drafts of one sequence so far.
struct DraftRecord {
  // Share of draft tokens that were accepted, 0 to 1.
  double acceptance = 0;
  // Steps without a draft before the next trial, where drafts do not pay.
  int32_t backoff = 0;
  // Steps since the last draft.
  int32_t n_waited = 0;

  // Whether the last length was that of a trial.
  bool on_trial() const { return n_waited > backoff; }
};

class DraftPacer {
 public:
  // Drafts have `n_min` to `n_max` tokens; 1 <= n_min <= n_max.
  DraftPacer(int32_t n_min, int32_t n_max) : n_min_(n_min), n_max_(n_max) {}

  // For a new sequence: the averages of all others.
  DraftRecord NewRecord() const { return {prior_, backoff_, 0}; }

  // Draft tokens of a sequence in the next step, 0 for none. `plain_ms` is the duration of a step
  // of `n_decoding` sequences without drafts, 0 if unknown. A token is worth its share of that; the
  // draft grows while a token's chance of acceptance times its worth exceeds its cost. A sequence
  // whose drafts do not pay gets a short trial from time to time.
  int32_t Length(DraftRecord* record, int32_t n_decoding, double plain_ms) const;

  // A step with `n_drafted` draft tokens, at least 1, took `ms`; without them it takes `plain_ms`.
  void ObserveStep(int32_t n_drafted, double ms, double plain_ms);

  // A draft model returned `n_drafted` tokens, possibly none, in `ms`.
  void ObserveDrafting(int32_t n_drafted, double ms);

  // The first `n_accepted` of `n_drafted` tokens, at least 1, were accepted.
  void ObserveOutcome(int32_t n_drafted, int32_t n_accepted, DraftRecord* record);

  // Drafting for a sequence took time and found nothing.
  void ObserveNothing(DraftRecord* record);

  // What one more draft token adds to a step, in milliseconds; 0 while unknown.
  double token_ms() const { return token_ms_; }

 private:
  void BackOff(DraftRecord* record, bool longer);

  int32_t n_min_;
  int32_t n_max_;
  // Running averages that start at 0, so that drafts are tried until their cost is known.
  double token_ms_ = 0;
  double drafting_ms_ = 0;
  double drafting_tokens_ = 0;
  double prior_ = 0.7;
  int32_t backoff_ = 16;
};
