// What the scheduler decides for one step: edits of the memory, the batch, and the background
// prefill.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "schedule/prefix_cache.h"

using SequenceId = uint64_t;

// One sequence's share of the batch.
struct StepWork {
  SequenceId id = 0;
  CacheId cache_id = 0;
  // Index of the sequence's first token to compute, and the number of tokens from there.
  int32_t first = 0;
  int32_t n_tokens = 0;
  // True if the last of them is the last known token, so that the next one can be sampled.
  bool samples = false;
  // True if the logits of all of them are needed, for log probabilities of the prompt.
  bool with_logprobs = false;
  // Draft tokens: computed behind the last known token, then verified.
  std::vector<Token> draft = {};

  // True if the sequence decodes in this step.
  bool is_decode() const { return n_tokens == 1 && samples; }
  // Known tokens, the last ones, whose logits are needed. Those of the draft come on top.
  int32_t n_outputs() const { return with_logprobs ? n_tokens : samples ? 1 : 0; }
};

// One sequence's share of the background prefill.
struct BackgroundShare {
  SequenceId id = 0;
  CacheId cache_id = 0;
  // Index of the sequence's first token that is not in the cache, and the number of tokens to
  // compute from there, in one step or in several.
  int32_t first = 0;
  int32_t n_tokens = 0;
};

// What is computed apart from the batch: one long prompt, or the suffixes of several prompts that
// share a prefix, `first` tokens of each. The first share has the longest prefix.
struct BackgroundWork {
  std::vector<BackgroundShare> shares;
  // For how long, and by how much that may be exceeded, in milliseconds.
  double ms = 0;
  double slack_ms = 0;
  // A slack: no other sequence is waiting.
  static constexpr double kNoLimit = std::numeric_limits<double>::infinity();
  // True if it may last as long as the batch where that takes longer, because both compute prompts.
  bool as_batch = false;
};

struct StepPlan {
  // To be applied before the work, in order. There may be edits although nothing is computed.
  std::vector<CacheEdit> edits;
  // The batch.
  std::vector<StepWork> work;
  std::optional<BackgroundWork> background;

  bool empty() const { return work.empty() && !background; }
  // True if every sequence of the step decodes.
  bool only_decodes() const;
  // Draft tokens of all sequences.
  int32_t n_drafted() const;
};

// Asks for a draft of a sequence's next tokens.
struct DraftCall {
  SequenceId id = 0;
  // All known tokens of the sequence, and the scope that may share what is computed of them.
  std::span<const Token> tokens;
  const std::string* scope = nullptr;
  // Maximum number of draft tokens, at least 1.
  int32_t max_tokens = 1;
  // True if drafts do not pay for this sequence so far: this one must not cost much.
  bool is_trial = false;
};
