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
#include "core/token_rules.h"
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
  // Milliseconds from the first token, after which the next line break ends the completion; 0 for
  // no limit.
  int32_t max_decode_ms = 0;
  // Blanks that each line behind the first must begin with, or it ends the completion.
  int32_t min_indent = 0;
  std::vector<std::string> stops;
  // The text that ends a completion is part of it: a stop string, or the text of an end token.
  bool show_stops = false;
  // The text of control tokens is part of the completion.
  bool show_control = false;
  // All sampling parameters, in the form of llama.cpp's samplers.
  common_params_sampling sampling;
  TokenRuleOptions token_rules = {};
  // Sequences share computed prefixes only if their scopes are equal.
  std::string cache_scope;
  // Without it no log probabilities are computed.
  std::optional<LogprobOptions> logprobs;
  // Texts come with the ids of their tokens.
  bool report_tokens = false;
  // There are events about the prompt while it is computed.
  bool report_progress = false;
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

// How much of a prompt is in the cache. Emitted before any text: when the sequence starts, and
// after each step that computed a part of it.
struct PromptProgress {
  SequenceId id = 0;
  int32_t n_prompt_tokens = 0;
  // Tokens that were found in the cache, and all tokens that are in it by now.
  int32_t n_cached_tokens = 0;
  int32_t n_done = 0;
  // Since the start.
  double ms = 0;
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
  // With reports of tokens: those that were sampled since the last text.
  std::vector<Token> ids = {};
};

enum class FinishReason { kStop, kLength, kCancelled };

struct SequenceEnd {
  SequenceId id = 0;
  FinishReason reason = FinishReason::kStop;
  // The stop string, or the stop token of the request, that ended the completion.
  std::string stop_text = {};
  std::optional<Token> stop_token = {};
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
  // With reports of tokens: those that were sampled since the last text.
  std::vector<Token> ids = {};
};

// The number of compute threads has changed: others want the same cores, or no longer do.
struct ThreadsChanged {
  int32_t n_threads = 0;
  int32_t n_before = 0;
};

using EngineEvent = std::variant<Started<EngineFacts>, ThreadsChanged, PromptProgress, PromptDelta,
                                 TextDelta, SequenceEnd, RequestError, Failed, Stopped>;
