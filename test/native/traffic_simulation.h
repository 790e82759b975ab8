// What people's traffic experiences on a machine of known speed: scheduled by the Scheduler, or as
// llama-server does it. Time is computed, not measured: the same traffic has the same result
// everywhere.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

// A step of `n` tokens takes fixed_ms + n * token_ms, attention aside: the time to read the
// weights, and to compute.
struct Machine {
  const char* name;
  double fixed_ms;
  double token_ms;

  double StepMs(int32_t n_tokens) const {
    return n_tokens > 0 ? fixed_ms + token_ms * n_tokens : 0;
  }
};

// One request: `n_new` tokens behind what the conversation holds so far.
struct SimulatedTurn {
  int32_t n_new;
  int32_t n_out;
  double thinking_ms;  // before it is sent
};

struct Traffic {
  const char* name;
  // Tokens that all conversations begin with.
  int32_t n_shared;
  // Conversations of each user, one after the other.
  std::vector<std::vector<std::vector<SimulatedTurn>>> users;
};

enum class Mix { kChat, kEditor, kRetrieval, kAgents };

// `n_conversations` of each user, the same for the same seed.
Traffic DrawTraffic(Mix mix, size_t n_users, size_t n_conversations, uint32_t seed);

struct Experience {
  double tokens_per_second;
  // Milliseconds. From sending to the first token, and between two tokens of a stream.
  std::vector<double> first_token_ms;
  std::vector<double> gap_ms;
};

// `share` from 0 to 1.
double Percentile(std::vector<double> values, double share);

// The Scheduler, without background prefill, and with all of the memory that it wants.
Experience SimulateScheduler(const Machine& machine, const Traffic& traffic, int32_t n_slots);

// Every step computes a token of each decoding slot and, up to 2048 tokens, whole prompts in the
// order of the slots.
Experience SimulateWholePrompts(const Machine& machine, const Traffic& traffic, int32_t n_slots);
