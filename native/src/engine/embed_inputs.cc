#include "engine/embed_inputs.h"

#include <algorithm>

namespace {

constexpr std::string_view kQueryMark = "{query}";
constexpr std::string_view kDocumentMark = "{document}";

bool ClosesText(const llama_vocab* vocab, llama_token token) {
  return token == llama_vocab_eos(vocab) || token == llama_vocab_sep(vocab);
}

void CheckTokens(const std::vector<llama_token>& tokens, int32_t n_vocab, size_t index) {
  const auto bad = std::ranges::find_if(
      tokens, [n_vocab](llama_token token) { return token < 0 || token >= n_vocab; });
  if (bad != tokens.end()) {
    throw InputError(index, "token " + std::to_string(*bad) + " is not in the vocabulary");
  }
}

// Keeps the first tokens, and the last one if it closes the text.
void Shorten(const llama_vocab* vocab, size_t max_tokens, std::vector<llama_token>* tokens) {
  if (tokens->size() <= max_tokens) return;
  const llama_token last = tokens->back();
  tokens->resize(max_tokens);
  if (ClosesText(vocab, last)) tokens->back() = last;
}

void Append(const std::vector<llama_token>& more, std::vector<llama_token>* tokens) {
  tokens->insert(tokens->end(), more.begin(), more.end());
}

}  // namespace

EmbedInputs PrepareInputs(const Model& model, const std::vector<RawInput>& raw,
                          int32_t max_tokens) {
  const llama_vocab* vocab = llama_model_get_vocab(model.get());
  EmbedInputs inputs;
  inputs.tokens.reserve(raw.size());
  for (size_t i = 0; i < raw.size(); ++i) {
    std::vector<llama_token> tokens;
    if (const auto* text = std::get_if<std::string>(&raw[i])) {
      try {
        tokens = model.Tokenize(*text, /*add_special=*/true);
      } catch (const std::exception& error) {
        throw InputError(i, error.what());
      }
    } else {
      tokens = std::get<std::vector<llama_token>>(raw[i]);
      CheckTokens(tokens, model.n_vocab(), i);
    }
    if (tokens.empty()) throw InputError(i, "it has no tokens");
    if (max_tokens > 0) Shorten(vocab, max_tokens, &tokens);
    inputs.tokens.push_back(std::move(tokens));
  }
  return inputs;
}

RankPrompt::RankPrompt(const Model* model)
    : model_(model), control_texts_(model->ControlTokenTexts()) {
  const char* source = llama_model_chat_template(model->get(), "rerank");
  if (source != nullptr) ReadTemplate(source);
  const llama_vocab* vocab = llama_model_get_vocab(model->get());
  closing_ = llama_vocab_eos(vocab);
  if (closing_ == LLAMA_TOKEN_NULL) closing_ = llama_vocab_sep(vocab);
}

void RankPrompt::ReadTemplate(std::string_view source) {
  while (!source.empty()) {
    const size_t query = source.find(kQueryMark);
    const size_t document = source.find(kDocumentMark);
    const size_t end = std::min({query, document, source.size()});
    Part part{.text = std::string(source.substr(0, end))};
    source.remove_prefix(end);
    if (!source.empty()) {
      part.slot = query < document ? Slot::kQuery : Slot::kDocument;
      source.remove_prefix(query < document ? kQueryMark.size() : kDocumentMark.size());
    }
    parts_.push_back(std::move(part));
  }
}

EmbedInputs RankPrompt::Prepare(const std::string& query,
                                const std::vector<std::string>& documents) const {
  EmbedInputs inputs;
  inputs.tokens.reserve(documents.size());
  std::vector<llama_token> query_tokens;
  if (parts_.empty()) query_tokens = model_->Tokenize(query, false, /*parse_special=*/false);
  for (size_t i = 0; i < documents.size(); ++i) {
    try {
      inputs.tokens.push_back(parts_.empty() ? Join(query_tokens, documents[i])
                                             : Render(query, documents[i]));
    } catch (const std::exception& error) {
      throw InputError(i, error.what());
    }
    if (inputs.tokens.back().empty()) throw InputError(i, "it has no tokens");
  }
  return inputs;
}

// The text is tokenized as a whole, so that words join those of the template as in training.
// Control tokens that the query or the document spells are cut apart and stay text.
std::vector<llama_token> RankPrompt::Render(const std::string& query,
                                            const std::string& document) const {
  std::vector<std::string> pieces(1);
  for (const Part& part : parts_) {
    pieces.back() += part.text;
    if (part.slot == Slot::kNone) continue;
    const auto [text, mark] = control_texts_.Mark(part.slot == Slot::kQuery ? query : document);
    const auto cut = PiecesBetweenMarks(text, mark);
    pieces.back() += cut.front();
    pieces.insert(pieces.end(), cut.begin() + 1, cut.end());
  }
  std::vector<llama_token> tokens;
  for (const std::string& piece : pieces) Append(model_->Tokenize(piece, false), &tokens);
  return tokens;
}

std::vector<llama_token> RankPrompt::Join(const std::vector<llama_token>& query,
                                          const std::string& document) const {
  const llama_vocab* vocab = llama_model_get_vocab(model_->get());
  std::vector<llama_token> tokens;
  if (llama_vocab_get_add_bos(vocab) && llama_vocab_bos(vocab) != LLAMA_TOKEN_NULL) {
    tokens.push_back(llama_vocab_bos(vocab));
  }
  Append(query, &tokens);
  if (llama_vocab_get_add_eos(vocab)) tokens.push_back(closing_);
  if (llama_vocab_get_add_sep(vocab) && llama_vocab_sep(vocab) != LLAMA_TOKEN_NULL) {
    tokens.push_back(llama_vocab_sep(vocab));
  }
  Append(model_->Tokenize(document, false, /*parse_special=*/false), &tokens);
  if (llama_vocab_get_add_eos(vocab)) tokens.push_back(closing_);
  return tokens;
}
