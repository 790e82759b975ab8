#include "llama/model.h"

#include <limits>
#include <stdexcept>
#include <string>

#include "core/big_stack.h"
#include "core/text_runs.h"

namespace {

// llama.cpp splits text with std::regex for most pre-tokenizers, and libstdc++ recurses once for
// each character of a match. Measured: 350 bytes a character at most; a library thread's 8 MB end
// at 23,000.
constexpr size_t kStackBytesPerCharacter = 512;
constexpr size_t kStackBytes = 1 << 20;
// Runs up to here fit any thread's stack.
constexpr size_t kHarmlessRun = 1000;
// A longer run fits no context, and would need a stack of gigabytes.
constexpr size_t kMaxRun = 500'000;

}  // namespace

Model::Model(const llama_model* model)
    : model_(model), vocab_(llama_model_get_vocab(model)), n_vocab_(llama_vocab_n_tokens(vocab_)) {
  for (llama_token token = 0; token < n_vocab_; ++token) {
    if (llama_vocab_is_eog(vocab_, token)) end_of_generation_.push_back(token);
  }
  int32_t n_suppressed = 0;
  const llama_token* suppressed = llama_vocab_get_suppress_tokens(vocab_, &n_suppressed);
  suppressed_.assign(suppressed, suppressed + n_suppressed);
}

std::vector<llama_token> Model::Tokenize(std::string_view text, bool add_special,
                                         bool parse_special) const {
  // llama.cpp puts both around a text and ends the process where one is missing.
  if (add_special && llama_vocab_type(vocab_) == LLAMA_VOCAB_TYPE_WPM &&
      (llama_vocab_bos(vocab_) == LLAMA_TOKEN_NULL ||
       llama_vocab_sep(vocab_) == LLAMA_TOKEN_NULL)) {
    throw std::runtime_error("the vocabulary has no tokens to put around a text");
  }
  if (text.size() > static_cast<size_t>(std::numeric_limits<int32_t>::max()) - 2) {
    throw std::runtime_error("the text is too long to be tokenized");
  }
  const size_t run = MaxRun(text);
  if (run > kMaxRun) {
    throw std::runtime_error("the text has " + std::to_string(run) +
                             " characters in a row that nothing separates; at most " +
                             std::to_string(kMaxRun) + " can be tokenized");
  }
  if (run <= kHarmlessRun) return TokenizeHere(text, add_special, parse_special);
  std::vector<llama_token> tokens;
  RunWithStack(kStackBytes + run * kStackBytesPerCharacter,
               [&] { tokens = TokenizeHere(text, add_special, parse_special); });
  return tokens;
}

std::vector<llama_token> Model::TokenizeHere(std::string_view text, bool add_special,
                                             bool parse_special) const {
  const auto n_bytes = static_cast<int32_t>(text.size());
  // At most one token a byte, and the two that may be added around the text.
  std::vector<llama_token> tokens(text.size() + 2);
  const auto tokenize = [&] {
    return llama_tokenize(vocab_, text.data(), n_bytes, tokens.data(),
                          static_cast<int32_t>(tokens.size()), add_special, parse_special);
  };
  int32_t n_tokens = tokenize();
  if (n_tokens < 0 && n_tokens != std::numeric_limits<int32_t>::min()) {
    tokens.resize(-n_tokens);
    n_tokens = tokenize();
  }
  if (n_tokens < 0) throw std::runtime_error("the text could not be tokenized");
  tokens.resize(n_tokens);
  tokens.shrink_to_fit();
  return tokens;
}

std::string Model::Detokenize(const std::vector<llama_token>& tokens, bool show_control) const {
  std::string text;
  for (const llama_token token : tokens) AppendPiece(token, show_control, &text);
  return text;
}

bool Model::can_infill() const {
  return llama_vocab_fim_pre(vocab_) != LLAMA_TOKEN_NULL &&
         llama_vocab_fim_suf(vocab_) != LLAMA_TOKEN_NULL &&
         llama_vocab_fim_mid(vocab_) != LLAMA_TOKEN_NULL;
}

void Model::AppendPiece(llama_token token, bool show_control, std::string* bytes) const {
  constexpr int32_t kTypicalPieceBytes = 32;
  const size_t old_size = bytes->size();
  const auto write = [&](int32_t n_bytes) {
    bytes->resize(old_size + n_bytes);
    return llama_token_to_piece(vocab_, token, bytes->data() + old_size, n_bytes, 0, show_control);
  };
  int32_t n = write(kTypicalPieceBytes);
  if (n < 0) n = write(-n);
  bytes->resize(old_size + (n > 0 ? n : 0));
}

std::vector<std::string> Model::ControlTokenTexts() const {
  std::vector<std::string> texts;
  for (llama_token token = 0; token < n_vocab_; ++token) {
    const int attributes = llama_vocab_get_attr(vocab_, token);
    if ((attributes & (LLAMA_TOKEN_ATTR_CONTROL | LLAMA_TOKEN_ATTR_UNKNOWN)) != 0) {
      texts.emplace_back(llama_vocab_get_text(vocab_, token));
    }
  }
  return texts;
}

bool Model::IsEndOfGeneration(llama_token token) const { return llama_vocab_is_eog(vocab_, token); }
