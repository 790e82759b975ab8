// How many prompt tokens to compute beside running decodes. Prompts never take more of a step than
// a target time. The whole step takes no longer either, unless decoding alone takes a third of it:
// a step lasts at most twice the target, or twice its decodes if that is more. Learns from measured
// steps; reads no clock.
#pragma once

#include <cstdint>
#include <vector>

class StepPacer {
 public:
  // `target_ms`: by how much a prompt may delay decoding sequences, in milliseconds, above 0.
  explicit StepPacer(double target_ms) : target_ms_(target_ms) {}

  // A step of `n_decoding` single tokens and `n_prefill` prompt tokens took `ms`.
  void Observe(int32_t n_decoding, int32_t n_prefill, double ms);

  // What prompts get of a step that decodes `n_decoding` sequences, in milliseconds.
  double PromptMs(int32_t n_decoding) const;

  // Prompt tokens to add to such a step, when they get this `share` of what prompts get. Never so
  // few that a prompt stands still, even where decoding alone takes longer than the target.
  int32_t Chunk(int32_t n_decoding, double share = 1) const;

  // Duration of a step that only decodes `n_decoding` sequences, in milliseconds; 0 before the
  // first one.
  double DecodeMs(int32_t n_decoding) const;

 private:
  double target_ms_;
  // Of a step that only decodes, by how many; 0 where none was seen.
  std::vector<double> decode_ms_;
  // Of one prompt token, 0 before the first.
  double prefill_ms_ = 0;
};
