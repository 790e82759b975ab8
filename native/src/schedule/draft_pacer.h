// How many tokens to guess for a sequence, so that guessing pays: a guess that turns out right
// saves a step, one that does not has cost what a further token costs in the batch. Learns from
// steps that were measured and guesses that were checked; knows no clock.
#pragma once

#include <cstdint>

// What is known of guessing for one sequence.
struct DraftRecord {
  // Share of guessed tokens that were right, 0 to 1.
  double acceptance = 0;
  // Steps to go without before the next trial, where guessing does not pay.
  int32_t backoff = 0;
  // Steps gone without since the last guess.
  int32_t n_waited = 0;

  // Whether the last length was that of a trial.
  bool on_trial() const { return n_waited > backoff; }
};

class DraftPacer {
 public:
  // Guesses have `n_min` to `n_max` tokens; 1 <= n_min <= n_max.
  DraftPacer(int32_t n_min, int32_t n_max) : n_min_(n_min), n_max_(n_max) {}

  // For a new sequence: what the others came to.
  DraftRecord NewRecord() const { return {prior_, backoff_, 0}; }

  // Tokens to guess for a sequence in the next step, 0 for none. `plain_ms` is what a step of
  // `n_decoding` sequences takes without guesses, 0 while nobody knows. A token is worth its share
  // of that; it is guessed while the chance that it is right, times that worth, is more than it
  // costs. A sequence for which nothing pays gets a short trial now and then.
  int32_t Length(DraftRecord* record, int32_t n_decoding, double plain_ms) const;

  // A step with `n_drafted` guessed tokens, at least 1, took `ms`; without it takes `plain_ms`.
  void ObserveStep(int32_t n_drafted, double ms, double plain_ms);

  // Asking a draft model came to `n_drafted` tokens, possibly none, and took `ms`.
  void ObserveDrafting(int32_t n_drafted, double ms);

  // The first `n_accepted` of `n_drafted` guessed tokens, at least 1, were right.
  void ObserveOutcome(int32_t n_drafted, int32_t n_accepted, DraftRecord* record);

  // A sequence was to be guessed for, which took time and came to nothing.
  void ObserveNothing(DraftRecord* record);

  // What one more guessed token adds to a step, in milliseconds; 0 while unknown.
  double token_ms() const { return token_ms_; }

 private:
  void BackOff(DraftRecord* record, bool longer);

  int32_t n_min_;
  int32_t n_max_;
  // Running averages that start at nothing, so that guesses are tried until they are known.
  double token_ms_ = 0;
  double drafting_ms_ = 0;
  double drafting_tokens_ = 0;
  double prior_ = 0.7;
  int32_t backoff_ = 16;
};
