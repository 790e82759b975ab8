// A chat to a tokenized prompt, through llama.cpp's Jinja engine. Const after construction, so that
// many worker threads render at the same time.
#pragma once

#include <common/chat.h>

#include <string>
#include <vector>

#include "chat/chat_request.h"
#include "chat/chat_template.h"
#include "chat/prompt.h"
#include "core/control_text.h"

class Model;

class Chat {
 public:
  // Takes the template to use like ChatTemplate. Throws std::exception when it does not parse.
  // `model` must outlive this object.
  Chat(const Model* model, const std::string& template_override);

  // The prompt for a request, a JSON text as ChatRequest describes. Texts of control tokens in the
  // messages and tools stay text. Throws std::exception when a part is refused.
  Prompt Prepare(const std::string& request) const;

  // The prompt of `request` as text, as `Prepare` tokenizes it.
  std::string Render(const std::string& request) const;

  // What stands otherwise in the prompt of `request` than in its messages, by the names in
  // docs/chat-templates.md.
  std::vector<std::string> Changes(const std::string& request) const;

  const ChatTemplate& chat_template() const { return template_; }

 private:
  // Renders a request, and generates the grammar of its reply. Of `request`, a schema that is part
  // of this grammar is cleared.
  common_chat_params RenderConstrained(ChatRequest* request) const;
  void FitHeader(const common_chat_templates_inputs& inputs, common_chat_params* rendered) const;
  // Renders `inputs`, and generates the grammar of calls of the enforced tools.
  common_chat_params Apply(const common_chat_templates_inputs& inputs,
                           const std::vector<common_chat_tool>& enforced) const;
  common_chat_params ApplyInWords(const ToolForm& form, const common_chat_templates_inputs& inputs,
                                  const std::vector<common_chat_tool>& enforced) const;
  std::string CallOrSchema(const ChatRequest& request) const;
  // Adds the tokens of `text`, which `begins` a prompt or is a part of one.
  void Tokenize(std::string_view text, const std::string& mark, bool begins,
                std::vector<llama_token>* all) const;

  const Model* model_;
  ControlTexts control_texts_;
  ChatTemplate template_;
};
