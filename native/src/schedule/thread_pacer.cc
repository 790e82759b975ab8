#include "schedule/thread_pacer.h"

#include <algorithm>

namespace {

// A step is slow if it takes so many times what the fastest ones take.
constexpr double kSlow = 1.6;
// Slow steps, less half of the others, that begin a trial of fewer threads.
constexpr double kMaxSuspicion = 6;
// The fastest time is forgotten by so much a step: contexts grow, and machines slow down.
constexpr double kForget = 1.002;

// Steps of a trial, and after how many it may end because one count is far ahead.
constexpr int32_t kTrialSteps = 16;
constexpr int32_t kMinTrialSteps = 4;
constexpr double kFarAhead = 3;
// What the candidate's steps may take of the other ones: a change has to be worth it.
constexpr double kWorthLess = 0.85;
constexpr double kWorthMore = 0.95;
// Pauses between trials, in milliseconds of computing: doubled whenever a trial changed nothing.
constexpr double kMinWaitMs = 2000;
constexpr double kMaxWaitMs = 20'000;

}  // namespace

void ThreadPacer::Observe(int32_t n_decoding, double ms) {
  since_trial_ms_ += ms;
  if (trial_) {
    Continue(n_decoding, ms);
  } else {
    Suspect(n_decoding, ms);
  }
}

void ThreadPacer::Continue(int32_t n_decoding, double ms) {
  // The traffic has changed: nothing was learned.
  if (n_decoding != trial_->n_decoding) {
    trial_.reset();
    return;
  }
  (trial_->is_candidates_turn() ? trial_->candidate_ms : trial_->chosen_ms) += ms;
  ++trial_->n_steps;
  if (trial_->is_candidates_turn() == false || trial_->n_steps < kMinTrialSteps) return;
  const double candidate_ms = trial_->candidate_ms;
  const double chosen_ms = trial_->chosen_ms;
  if (candidate_ms > kFarAhead * chosen_ms) return End(false);
  if (chosen_ms > kFarAhead * candidate_ms) return End(true);
  if (trial_->n_steps < kTrialSteps) return;
  End(candidate_ms < (trial_->n < n_threads_ ? kWorthLess : kWorthMore) * chosen_ms);
}

void ThreadPacer::End(bool chooses_candidate) {
  if (chooses_candidate) {
    n_threads_ = trial_->n;
    fast_ms_.clear();
    wait_ms_ = kMinWaitMs;
  } else {
    wait_ms_ = std::clamp(2 * wait_ms_, kMinWaitMs, kMaxWaitMs);
  }
  trial_.reset();
  suspicion_ = 0;
  since_trial_ms_ = 0;
}

void ThreadPacer::Suspect(int32_t n_decoding, double ms) {
  double& fast_ms = FastMs(n_decoding);
  const bool is_slow = fast_ms > 0 && ms > kSlow * fast_ms;
  fast_ms = fast_ms == 0 ? ms : std::min(ms, kForget * fast_ms);
  suspicion_ = std::max(0.0, suspicion_ + (is_slow ? 1.0 : -0.5));
  if (since_trial_ms_ < wait_ms_) return;
  if (suspicion_ >= kMaxSuspicion && n_threads_ > 1) {
    trial_ = Trial{.n = n_threads_ / 2, .n_decoding = n_decoding};
  } else if (n_threads_ < n_max_ && since_trial_ms_ >= kMinWaitMs) {
    trial_ = Trial{.n = std::min(n_max_, 2 * n_threads_), .n_decoding = n_decoding};
  }
}

double& ThreadPacer::FastMs(int32_t n_decoding) {
  const auto n = static_cast<size_t>(n_decoding);
  if (fast_ms_.size() <= n) fast_ms_.resize(n + 1, 0);
  return fast_ms_[n];
}
