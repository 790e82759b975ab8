// How many compute threads to use while other processes want the same cores. ggml's threads meet at
// a barrier behind every operation: where one of them has lost its core, all wait for it, and a
// step takes many times what fewer threads would need. Compares counts in trials, of steps that
// decode the same number of sequences on one count and the other in turn. Reads no clock.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

class ThreadPacer {
 public:
  // `n_max`: the number to use on cores that nobody else wants, at least 1.
  explicit ThreadPacer(int32_t n_max) : n_max_(n_max), n_threads_(n_max) {}

  // For the next step.
  int32_t n_threads() const {
    return trial_ && trial_->is_candidates_turn() ? trial_->n : n_threads_;
  }
  // The number in use, trials aside.
  int32_t n_chosen() const { return n_threads_; }

  // A step on n_threads() that only decoded `n_decoding` sequences took `ms`.
  void Observe(int32_t n_decoding, double ms);

 private:
  // Steps of both counts in turn, the candidate's first.
  struct Trial {
    int32_t n;
    int32_t n_decoding;
    int32_t n_steps = 0;
    double candidate_ms = 0;
    double chosen_ms = 0;

    bool is_candidates_turn() const { return n_steps % 2 == 0; }
  };

  void Continue(int32_t n_decoding, double ms);
  void End(bool chooses_candidate);
  void Suspect(int32_t n_decoding, double ms);
  // The fastest steps of so many sequences on the chosen count; 0 where none was seen.
  double& FastMs(int32_t n_decoding);

  int32_t n_max_;
  int32_t n_threads_;
  std::optional<Trial> trial_;
  // By the number of sequences.
  std::vector<double> fast_ms_;
  // How often steps took much longer than the fastest ones of late.
  double suspicion_ = 0;
  // Time computed since the last trial, and how much of it the next one waits for.
  double since_trial_ms_ = 0;
  double wait_ms_ = 0;
};
