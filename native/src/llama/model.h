// The llama_model that node-llama-cpp loaded, borrowed: tokens to bytes and back. The vocabulary
// never changes, so every method may be called from any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "llama.h"

class Model {
 public:
  // `model` is not owned and must outlive this object.
  explicit Model(const llama_model* model);

  const llama_model* get() const { return model_; }
  int32_t n_vocab() const { return n_vocab_; }

  // Tokens of `text`. `add_special` puts the model's BOS in front where it wants one;
  // `parse_special` recognises control tokens in the text. Throws std::runtime_error on text that
  // cannot be tokenized safely.
  std::vector<llama_token> Tokenize(std::string_view text, bool add_special,
                                    bool parse_special = true) const;

  // Text of `tokens`, bytes that are no UTF-8 included; of control tokens only with
  // `show_control`. Every token must be below n_vocab().
  std::string Detokenize(const std::vector<llama_token>& tokens, bool show_control) const;

  // Whether the vocabulary has the tokens that ask for text between two others.
  bool can_infill() const;

  // Appends the bytes of `token`; of a control token only with `show_control`.
  void AppendPiece(llama_token token, bool show_control, std::string* bytes) const;

  bool IsEndOfGeneration(llama_token token) const;

  // Tokens that end a generation, and tokens the model must never produce.
  const std::vector<llama_token>& end_of_generation_tokens() const { return end_of_generation_; }
  const std::vector<llama_token>& suppressed_tokens() const { return suppressed_; }
  // Texts of the tokens that mean something other than their text, such as "<|im_end|>".
  std::vector<std::string> ControlTokenTexts() const;

 private:
  std::vector<llama_token> TokenizeHere(std::string_view text, bool add_special,
                                        bool parse_special) const;

  const llama_model* model_;
  const llama_vocab* vocab_;
  int32_t n_vocab_;
  std::vector<llama_token> end_of_generation_;
  std::vector<llama_token> suppressed_;
};
