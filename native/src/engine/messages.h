// What crosses between the engine thread and its callers: plain data, owned by its holder.
#pragma once

#include <common/common.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "chat/chat.h"
#include "core/logprobs.h"
#include "core/thread_loop.h"
#include "engine/request.h"
#include "schedule/scheduler.h"

// Into the engine
// ------------------------------------------------------------------------------------

// Which log probabilities a request asks for.
struct LogprobOptions {
  // Number of most likely tokens at each position, 0 or more.
  int32_t n_top = 0;
  // Also for the prompt: then all of it is computed, whatever is cached.
  bool prompt = false;
};

struct Submit {
  SequenceId id = 0;
  std::shared_ptr<const Prompt> prompt;
  // Maximum number of completion tokens; with 0 the sequence ends when its prompt is computed. The
  // caller has checked that prompt and completion fit the context.
  int32_t max_tokens = 1;
  std::vector<std::string> stops;
  // All sampling parameters, in the form of llama.cpp's samplers.
  common_params_sampling sampling;
  // Sequences share computed prefixes only if their scopes are equal.
  std::string cache_scope;
  // Without it no log probabilities are computed.
  std::optional<LogprobOptions> logprobs;
  Clock::time_point submitted_at;
};

// The reader of a sequence is too slow, or has caught up.
struct Pause {
  SequenceId id = 0;
  bool paused = false;
};

using EngineMessage = std::variant<Submit, Cancel, Pause>;

// Out of the engine
// ----------------------------------------------------------------------------------

// What is known of a started engine.
struct EngineFacts {
  int32_t n_batch = 0;
  int32_t n_ubatch = 0;
  bool unified_kv = false;
  // Why speculative decoding is disabled although it is configured, as the end of a sentence about
  // the model; empty otherwise.
  std::string drafts_disabled_reason = {};
  // Whether background prefill is enabled, and why it is disabled although it is configured; empty
  // otherwise.
  bool background_prefill = false;
  std::string background_prefill_disabled_reason = {};
};

// The next tokens of a prompt whose log probabilities are wanted. Emitted before any text.
struct PromptDelta {
  SequenceId id = 0;
  std::vector<TokenLogprob> tokens;
};

struct TextDelta {
  SequenceId id = 0;
  // Whole UTF-8 characters, never empty.
  std::string text;
  // With log probabilities: the tokens whose first character is in the text.
  std::optional<std::vector<TokenLogprob>> tokens = {};
};

enum class FinishReason { kStop, kLength, kCancelled };

struct SequenceEnd {
  SequenceId id = 0;
  FinishReason reason = FinishReason::kStop;
  int32_t n_prompt_tokens = 0;
  int32_t n_cached_tokens = 0;
  int32_t n_completion_tokens = 0;
  // Completion tokens that were reasoning.
  int32_t n_reasoning_tokens = 0;
  // Sum over all completion tokens, if log probabilities are wanted.
  std::optional<double> total_logprob = {};
  // Drafted tokens, and those of them that were accepted.
  int32_t n_drafted_tokens = 0;
  int32_t n_accepted_tokens = 0;
  double queue_ms = 0;
  double prefill_ms = 0;
  double decode_ms = 0;
};

using EngineEvent = std::variant<Started<EngineFacts>, PromptDelta, TextDelta, SequenceEnd,
                                 RequestError, Failed, Stopped>;
