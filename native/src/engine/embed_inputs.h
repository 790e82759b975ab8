// Converts texts and tokens to the inputs of an embedder. Thread-safe: models are only read.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/control_text.h"
#include "llama.h"
#include "llama/model.h"

struct EmbedInputs {
  // Tokens of each input, at least one.
  std::vector<std::vector<llama_token>> tokens;
};

// One of the inputs cannot be computed.
class InputError : public std::runtime_error {
 public:
  InputError(size_t index, const std::string& reason)
      : std::runtime_error(reason), index_(static_cast<int32_t>(index)) {}
  int32_t index() const { return index_; }

 private:
  int32_t index_;
};

using RawInput = std::variant<std::string, std::vector<llama_token>>;

// Tokenizes texts, including the tokens that the model requires around a text; takes tokens as they
// are. With `max_tokens` above 0, longer inputs are cut at their end but keep the token that closes
// them. Throws InputError.
EmbedInputs PrepareInputs(const Model& model, const std::vector<RawInput>& raw, int32_t max_tokens);

// Joins a query with documents in the form that a model with a classification head was trained on.
class RankPrompt {
 public:
  // `model` must outlive this object.
  explicit RankPrompt(const Model* model);

  // True if the model defines the form: by a template, or by a token between texts.
  bool known() const { return !parts_.empty() || closing_ != LLAMA_TOKEN_NULL; }

  // One input for each document. Requires known(). Throws InputError with the document's index.
  EmbedInputs Prepare(const std::string& query, const std::vector<std::string>& documents) const;

 private:
  enum class Slot { kNone, kQuery, kDocument };
  // A piece of the template, and the text that follows it.
  struct Part {
    std::string text;
    Slot slot = Slot::kNone;
  };

  void ReadTemplate(std::string_view source);
  std::vector<llama_token> Render(const std::string& query, const std::string& document) const;
  std::vector<llama_token> Join(const std::vector<llama_token>& query,
                                const std::string& document) const;

  const Model* model_;
  ControlTexts control_texts_;
  // Empty without a template.
  std::vector<Part> parts_;
  // The token that ends a text; the separator if there is no such token.
  llama_token closing_ = LLAMA_TOKEN_NULL;
};
