// What a sequence starts from, and what its reply has to look like.
#pragma once

#include <common/common.h>

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/reasoning_counter.h"
#include "llama.h"

struct ReplyFormat;

struct Prompt {
  // Never empty.
  std::vector<llama_token> tokens;
  // The beginning of the reply that the last of them are, where a grammar says how it goes on.
  std::vector<llama_token> header;
  // A part of the request was left out, for lack of room.
  bool cut = false;
  // Texts that end a turn in this template's format although no token does.
  std::vector<std::string> stops;
  // Control tokens whose text belongs to the reply's format, such as the marks of a tool call.
  std::set<llama_token> shown_tokens;
  // How to parse the reply; null where all of it is content.
  std::shared_ptr<const ReplyFormat> format;
  // Counts the reasoning tokens of a reply; to be copied.
  ReasoningCounter reasoning;
  // Only the fields that `Constrain` copies are set.
  common_params_sampling constraints;

  // Sets what the format requires of sampling: a grammar, its triggers, a limit on the reasoning.
  void Constrain(common_params_sampling* sampling) const;
};
