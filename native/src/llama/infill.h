// The prompt that asks for the text of a gap, in the form of code models: marks around what stands
// before and behind the gap, after other texts of the same project.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "llama/model.h"

struct InfillText {
  std::string prefix = {};
  std::string suffix = {};
  // Follows the prefix; control tokens in it are recognised.
  std::string prompt = {};

  struct Chunk {
    std::string filename = {};
    std::string text = {};
  };
  // Other texts of the project, the most important last. Without it there are no names of files
  // either.
  std::optional<std::vector<Chunk>> extra = {};

  // Room for all tokens, or 0 for any number. What does not fit is left out: the first chunks, then
  // the beginning of the prefix and the end of the suffix.
  int32_t max_tokens = 0;
};

struct InfillTokens {
  std::vector<llama_token> tokens = {};
  // Something was left out.
  bool cut = false;
};

// Requires model.can_infill(). Throws std::runtime_error on text that cannot be tokenized safely.
InfillTokens TokenizeInfill(const Model& model, const InfillText& text);
