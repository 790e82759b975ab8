#include "chat.h"

#include <common/chat.h>
#include <common/log.h>

#include <mutex>
#include <stdexcept>

#include "model.h"

namespace {

// Template errors reach the client as exceptions; llama.cpp would print them to stderr as well.
void SilenceCommonLog() {
  static std::once_flag once;
  std::call_once(once, [] { common_log_set_verbosity_thold(-1); });
}

// common_chat_templates_init forgets why a template did not parse; parsing it first tells.
void CheckTemplate(const llama_model* model, const std::string& template_override) {
  const char* own = llama_model_chat_template(model, nullptr);
  const std::string source = template_override.empty() && own != nullptr ? own : template_override;
  if (source.empty()) return;
  try {
    const common_chat_template probe(source, "", "");
  } catch (const std::exception& error) {
    throw std::runtime_error(std::string("the chat template does not parse: ") + error.what());
  }
}

}  // namespace

void Chat::Deleter::operator()(common_chat_templates* templates) const {
  common_chat_templates_free(templates);
}

Chat::Chat(const Model* model, const std::string& template_override) : model_(model) {
  SilenceCommonLog();
  CheckTemplate(model->get(), template_override);
  templates_.reset(common_chat_templates_init(model->get(), template_override).release());
}

Chat::~Chat() = default;

Prompt Chat::Prepare(const std::vector<ChatMessage>& messages) const {
  common_chat_templates_inputs inputs;
  inputs.messages.reserve(messages.size());
  for (const ChatMessage& message : messages) {
    common_chat_msg& target = inputs.messages.emplace_back();
    target.role = message.role;
    target.content = message.content;
  }
  common_chat_params rendered = common_chat_templates_apply(templates_.get(), inputs);
  Prompt prompt{model_->Tokenize(rendered.prompt, true), std::move(rendered.additional_stops)};
  if (prompt.tokens.empty()) throw std::runtime_error("the rendered prompt has no tokens");
  return prompt;
}
