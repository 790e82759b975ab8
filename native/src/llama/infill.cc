#include "llama/infill.h"

#include <algorithm>
#include <limits>
#include <span>
#include <string_view>

namespace {

using Tokens = std::vector<llama_token>;

// The names and the separator that llama-server writes; models know the form, not the names.
constexpr std::string_view kProjectLine = "myproject\n";
constexpr std::string_view kFileLine = "filename\n";
constexpr std::string_view kUnnamedFile = "tmp";
constexpr std::string_view kSeparator = "\n\n--- snippet ---\n\n";

void Append(std::span<const llama_token> part, Tokens* tokens) {
  tokens->insert(tokens->end(), part.begin(), part.end());
}

Tokens Plain(const Model& model, std::string_view text) {
  return model.Tokenize(text, /*add_special=*/false, /*parse_special=*/false);
}

// A mark and the text behind it; the text alone in a vocabulary without the mark.
Tokens Marked(const Model& model, llama_token mark, std::string_view text) {
  Tokens tokens;
  if (mark != LLAMA_TOKEN_NULL) tokens.push_back(mark);
  Append(Plain(model, text), &tokens);
  return tokens;
}

Tokens ChunkTokens(const Model& model, llama_token separator, const InfillText::Chunk& chunk) {
  const std::string_view name = chunk.filename.empty() ? kUnnamedFile : chunk.filename;
  Tokens tokens = separator == LLAMA_TOKEN_NULL
                      ? Plain(model, kSeparator)
                      : Marked(model, separator, std::string(name) + "\n");
  Append(Plain(model, chunk.text), &tokens);
  return tokens;
}

// A prefix says more of a gap than a suffix: it gets three quarters of the room, and what the
// suffix leaves. Returns whether either was cut.
bool CutToRoom(size_t room, Tokens* prefix, Tokens* suffix) {
  if (prefix->size() + suffix->size() <= room) return false;
  const size_t left_by_prefix = room - std::min(room, prefix->size());
  const size_t n_suffix = std::min(suffix->size(), std::max(room / 4, left_by_prefix));
  const size_t n_prefix = std::min(prefix->size(), room - n_suffix);
  prefix->erase(prefix->begin(), prefix->end() - static_cast<std::ptrdiff_t>(n_prefix));
  suffix->resize(n_suffix);
  return true;
}

// The texts before the gap: the name of the project, as many chunks as `room` has place for, from
// the last, and the name of the file with the gap.
InfillTokens ProjectTokens(const Model& model, const std::vector<InfillText::Chunk>& chunks,
                           size_t room) {
  const llama_vocab* vocab = llama_model_get_vocab(model.get());
  const llama_token project = llama_vocab_fim_rep(vocab);
  const llama_token separator = llama_vocab_fim_sep(vocab);
  InfillTokens result;
  if (project != LLAMA_TOKEN_NULL) result.tokens = Marked(model, project, kProjectLine);
  Tokens file;
  if (separator != LLAMA_TOKEN_NULL) file = Marked(model, separator, kFileLine);
  const size_t n_names = result.tokens.size() + file.size();
  if (n_names > room) return {.tokens = {}, .cut = !chunks.empty()};
  room -= n_names;

  std::vector<Tokens> taken;
  for (auto chunk = chunks.rbegin(); chunk != chunks.rend(); ++chunk) {
    Tokens tokens = ChunkTokens(model, separator, *chunk);
    result.cut = tokens.size() > room;
    if (result.cut) break;
    room -= tokens.size();
    taken.push_back(std::move(tokens));
  }
  for (auto tokens = taken.rbegin(); tokens != taken.rend(); ++tokens) {
    Append(*tokens, &result.tokens);
  }
  Append(file, &result.tokens);
  return result;
}

}  // namespace

InfillTokens TokenizeInfill(const Model& model, const InfillText& text) {
  const llama_vocab* vocab = llama_model_get_vocab(model.get());
  Tokens prefix = Plain(model, text.prefix);
  Append(model.Tokenize(text.prompt, /*add_special=*/false, /*parse_special=*/true), &prefix);
  Tokens suffix = Plain(model, text.suffix);

  InfillTokens result;
  if (llama_vocab_get_add_bos(vocab)) result.tokens.push_back(llama_vocab_bos(vocab));
  const size_t n_marks = result.tokens.size() + 3;
  size_t room = std::numeric_limits<size_t>::max();
  if (text.max_tokens > 0) {
    const auto max_tokens = static_cast<size_t>(text.max_tokens);
    room = max_tokens - std::min(max_tokens, n_marks);
  }
  result.cut = CutToRoom(room, &prefix, &suffix);
  if (text.extra) {
    const InfillTokens project =
        ProjectTokens(model, *text.extra, room - prefix.size() - suffix.size());
    Append(project.tokens, &result.tokens);
    result.cut |= project.cut;
  }
  result.tokens.push_back(llama_vocab_fim_pre(vocab));
  Append(prefix, &result.tokens);
  result.tokens.push_back(llama_vocab_fim_suf(vocab));
  Append(suffix, &result.tokens);
  result.tokens.push_back(llama_vocab_fim_mid(vocab));
  return result;
}
