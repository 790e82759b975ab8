// The likeliest tokens of a row of logits, found in one pass over it. llama.cpp's samplers copy the
// whole vocabulary to cut it to forty tokens. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

class TopCandidates {
 public:
  struct Candidate {
    int32_t token = 0;
    float logit = 0;
  };

  // The `k` highest of `logits`, at least 1, in falling order, of equal ones the first. Fewer where
  // others are no numbers or minus infinity. Valid until the next call.
  std::span<const Candidate> Find(std::span<const float> logits, int32_t k);

 private:
  // Of each block.
  std::vector<float> highest_;
  std::vector<float> scratch_;
  std::vector<Candidate> candidates_;
};
