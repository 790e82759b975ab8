#include "chat/continued_prompt.h"

#include <exception>

namespace {

constexpr const char* kContentWord = "continued-content-7f3a";
constexpr const char* kReasoningWord = "continued-reasoning-7f3a";

// The place of the only `word` in `text`; npos where there is none or more.
size_t OnlyPlaceOf(const std::string& word, const std::string& text) {
  const size_t first = text.find(word);
  return first == text.rfind(word) ? first : std::string::npos;
}

}  // namespace

// Templates trim texts and look into them, so words stand in for the texts until all is rendered.
std::optional<std::string> ContinuedPrompt(
    const common_chat_templates_inputs& inputs,
    const std::function<std::string(const common_chat_templates_inputs&)>& render) {
  const common_chat_msg& last = inputs.messages.back();
  if (last.content.empty()) return std::nullopt;
  common_chat_templates_inputs written = inputs;
  written.continue_final_message = COMMON_CHAT_CONTINUATION_NONE;
  written.add_generation_prompt = false;
  written.messages.back().content = kContentWord;
  if (!last.reasoning_content.empty()) written.messages.back().reasoning_content = kReasoningWord;
  std::string prompt;
  try {
    prompt = render(written);
  } catch (const std::exception&) {
    return std::nullopt;
  }
  const size_t content = OnlyPlaceOf(kContentWord, prompt);
  if (content == std::string::npos) return std::nullopt;
  prompt.replace(content, std::string::npos, last.content);
  if (last.reasoning_content.empty()) return prompt;
  const size_t reasoning = OnlyPlaceOf(kReasoningWord, prompt);
  if (reasoning == std::string::npos) return std::nullopt;
  return prompt.replace(reasoning, std::string(kReasoningWord).size(), last.reasoning_content);
}
