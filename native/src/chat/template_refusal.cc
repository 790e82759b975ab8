#include "chat/template_refusal.h"

#include <string_view>

namespace {

constexpr size_t kMaxReasonBytes = 500;
// What llama.cpp puts before the words of `raise_exception`.
constexpr std::string_view kOwnWords = "Jinja Exception: ";

// The first line with more than blanks in it.
std::string_view FirstLine(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \n\r\t-");
  if (begin == text.npos) return {};
  text.remove_prefix(begin);
  text = text.substr(0, text.find_first_of("\n\r"));
  return text.substr(0, text.find_last_not_of(" \t") + 1);
}

// Cut between two characters, not within one.
std::string_view Shortened(std::string_view text) {
  if (text.size() <= kMaxReasonBytes) return text;
  size_t end = kMaxReasonBytes;
  while (end > 0 && (text[end] & 0xC0) == 0x80) --end;
  return text.substr(0, end);
}

std::string Sentence(std::string_view opening, std::string_view reason) {
  std::string sentence = std::string(opening).append(Shortened(reason));
  if (reason.find_last_of(".!?") + 1 != reason.size()) sentence += '.';
  return sentence;
}

}  // namespace

bool IsTemplateError(const std::exception& error) {
  const std::string_view text = error.what();
  return text.find("\nWhile executing ") != text.npos || text.find(kOwnWords) != text.npos;
}

// llama.cpp puts a trace with source text before the reason, which begins with one of these words.
std::string TemplateRefusal(const std::exception& error) {
  constexpr std::string_view kReason = "\nError: ";
  const std::string_view text = error.what();
  if (const size_t own = text.find(kOwnWords); own != text.npos) {
    return Sentence("The model's chat template refuses these messages: ",
                    FirstLine(text.substr(own + kOwnWords.size())));
  }
  const size_t at = text.rfind(kReason);
  const std::string_view reason =
      FirstLine(at == text.npos ? text : text.substr(at + kReason.size()));
  if (reason.empty() || reason == "std::exception") {
    return "The model's chat template cannot render these messages.";
  }
  return Sentence("The model's chat template cannot render these messages: ", reason);
}
