// How many prompt tokens to compute beside running decodes. A prompt may delay decoding sequences
// by a target time, or by a multiple of what decoding alone takes where that is more; prompts that
// would delay them much longer as a whole, by the geometric mean of both. Pieces of a
// prompt are never so small that a token of them costs much more than one of a large piece: all
// would wait longer through many small pieces than through few that exceed the target. While
// prompts keep coming, every other step or so is left to decoding: most tokens of a stream then
// wait for no prompt. Learns from measured steps; reads no clock.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

class StepPacer {
 public:
  // `target_ms`: by how much a prompt may delay decoding sequences, in milliseconds, above 0.
  explicit StepPacer(double target_ms) : target_ms_(target_ms) {}

  // A step of `n_decoding` single tokens and `n_prefill` prompt tokens took `ms`.
  void Observe(int32_t n_decoding, int32_t n_prefill, double ms);

  // A step with decoding sequences was planned, with prompts beside them or without.
  void Planned(bool has_prompts);

  // True if the next step should leave prompts out as long as sequences decode.
  bool LeavesPromptsOut() const;

  // What prompts get of a step that decodes `n_decoding` sequences, in milliseconds.
  double PromptMs(int32_t n_decoding) const;

  // Prompt tokens to add to such a step, of `n_missing` that prompts miss together, when they get
  // this `share` of what prompts get. Never so few that a prompt stands still, or that they cost
  // much more than others.
  int32_t Chunk(int32_t n_decoding, int32_t n_missing, double share = 1) const;

  // Prompt tokens of a step in which nothing decodes: a request that arrives waits for its end. No
  // bound before anything was measured.
  int32_t ChunkAlone() const;

  // Duration of a step that only decodes `n_decoding` sequences, in milliseconds; 0 before the
  // first one.
  double DecodeMs(int32_t n_decoding) const;

 private:
  // Pieces of up to 15, 31, 63, 127, 255 tokens, and of more.
  static constexpr size_t kSizes = 6;

  static size_t SizeOf(int32_t n_tokens);
  // The smallest piece of a size.
  static int32_t LeastOf(size_t size);
  // The cost of a token in a piece of that size, or of the nearest one that was seen; 0 for none.
  double TokenMs(size_t size) const;
  // The smallest piece whose tokens cost at most `max_cost` times what the cheapest do.
  int32_t EfficientChunk(double max_cost) const;
  // The largest piece that takes `ms`, or the efficient one where that takes longer.
  int32_t ChunkOf(double ms, double max_cost) const;

  double target_ms_;
  // Running average of the steps with decodes: 1 with prompts, 0 without.
  double prompt_share_ = 0;
  // Of a step that only decodes, by how many; 0 where none was seen.
  std::vector<double> decode_ms_;
  // What one prompt token adds to a step, by the size of the piece; 0 where none was seen.
  std::array<double, kSizes> token_ms_ = {};
};
