// What crosses between the engine thread and its callers: plain data, owned by whoever holds it.
#pragma once

#include <common/common.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "chat/chat.h"
#include "core/error.h"
#include "core/logprobs.h"
#include "schedule/scheduler.h"

using Clock = std::chrono::steady_clock;

inline double MillisecondsSince(Clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

// Into the engine
// ------------------------------------------------------------------------------------

// What is to be told of the model's opinion of each token.
struct Scoring {
  // Likeliest tokens at each place, 0 or more.
  int32_t n_top = 0;
  // Of the prompt as well: all of it is computed then, whatever is in the cache.
  bool prompt = false;
};

struct Submit {
  SequenceId id = 0;
  std::shared_ptr<const Prompt> prompt;
  // Completion tokens at most; 0 ends when the prompt is computed. The caller has checked that
  // prompt and completion fit.
  int32_t max_tokens = 1;
  std::vector<std::string> stops;
  // Every sampling parameter there is, as llama.cpp's samplers take them.
  common_params_sampling sampling;
  // Whose prompts it may share computed prefixes with: those of equal scope.
  std::string cache_scope;
  // Nothing is scored without.
  std::optional<Scoring> scoring;
  Clock::time_point submitted_at;
};

struct Cancel {
  SequenceId id = 0;
};

// The reader of a sequence is too slow, or has caught up.
struct Hold {
  SequenceId id = 0;
  bool held = false;
};

struct Close {};

using Message = std::variant<Submit, Cancel, Hold, Close>;

// Out of the engine
// ----------------------------------------------------------------------------------

// The context exists and steps can run. Comes once, first, unless EngineFailed does.
struct Started {
  int32_t n_batch = 0;
  int32_t n_ubatch = 0;
  bool unified_kv = false;
  // Why tokens are not guessed although they were to be, as the end of a sentence about the model;
  // empty otherwise.
  std::string no_drafts = {};
  // Whether long prompts have a lane of their own, and why not although they were to; empty
  // otherwise.
  bool prompt_lane = false;
  std::string no_prompt_lane = {};
};

// The next tokens of a prompt that is scored. They come before any text.
struct PromptDelta {
  SequenceId id = 0;
  std::vector<ScoredToken> tokens;
};

struct TextDelta {
  SequenceId id = 0;
  // Whole UTF-8 characters, never empty.
  std::string text;
  // Where they are scored: the tokens whose first character is in the text.
  std::optional<std::vector<ScoredToken>> tokens = {};
};

enum class FinishReason { kStop, kLength, kCancelled };

struct SequenceEnd {
  SequenceId id = 0;
  FinishReason reason = FinishReason::kStop;
  int32_t n_prompt_tokens = 0;
  int32_t n_cached_tokens = 0;
  int32_t n_completion_tokens = 0;
  // The part of them that was reasoning.
  int32_t n_reasoning_tokens = 0;
  // Of all completion tokens together, where they are scored.
  std::optional<double> total_logprob = {};
  // Tokens that were guessed, and the part of them that was right.
  int32_t n_drafted_tokens = 0;
  int32_t n_accepted_tokens = 0;
  double queue_ms = 0;
  double prefill_ms = 0;
  double decode_ms = 0;
};

struct SequenceError {
  SequenceId id = 0;
  ErrorCode code = ErrorCode::kEngineFailed;
  std::string message;
};

// The engine cannot go on. Every sequence has had its SequenceError.
struct EngineFailed {
  std::string message;
};

// The context is freed and the thread ends: nothing comes after this.
struct Stopped {};

using Event = std::variant<Started, PromptDelta, TextDelta, SequenceEnd, SequenceError,
                           EngineFailed, Stopped>;

// Counters since the start, and gauges of the last step.
struct EngineStats {
  // Times the engine computed something: a batch, a slice of the prompt lane, or both.
  uint64_t n_steps = 0;
  uint64_t n_decode_calls = 0;
  uint64_t n_decoded_tokens = 0;
  // Prompt tokens that were computed, each counted once; those found in the cache instead; tokens
  // computed again for sequences that had been paused.
  uint64_t n_prefilled_tokens = 0;
  uint64_t n_cached_tokens = 0;
  uint64_t n_recomputed_tokens = 0;
  // Tokens that were computed in the prompt lane, some of them for prompts that ended before.
  uint64_t n_lane_tokens = 0;
  uint64_t n_sampled_tokens = 0;
  // Time spent in steps, and the parts of it in llama_decode and in choosing tokens, milliseconds.
  double step_ms = 0;
  double decode_ms = 0;
  double sampling_ms = 0;
  // Sequences that found a part of their prompt in the cache, and those that had to give way.
  uint64_t n_prefix_hits = 0;
  uint64_t n_paused = 0;
  // Sequences that were moved in a split cache to be computed in one pass with others.
  uint64_t n_moved = 0;
  // Guesses that were checked, their tokens, those that were right, and these by their place in the
  // guess.
  uint64_t n_drafts = 0;
  uint64_t n_drafted_tokens = 0;
  uint64_t n_accepted_tokens = 0;
  std::vector<uint64_t> n_accepted_by_place = {};
  int32_t n_running = 0;
  int32_t n_waiting = 0;
  // Cells of running sequences, and cells that only finished prefixes hold.
  int32_t n_used_kv_tokens = 0;
  int32_t n_kept_kv_tokens = 0;
  int32_t n_kept_prefixes = 0;
};
