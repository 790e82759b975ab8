// Chat messages to a tokenized prompt, through llama.cpp's Jinja engine. Const after construction,
// so that many worker threads render at the same time.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "llama.h"

class Model;
struct common_chat_templates;

struct ChatMessage {
  std::string role;
  std::string content;
};

// What a sequence starts from.
struct Prompt {
  // Never empty.
  std::vector<llama_token> tokens;
  // Texts that end a turn in this template's format although no token says so.
  std::vector<std::string> stops;
};

class Chat {
 public:
  // Uses `template_override` (Jinja) when it is not empty, else the model's own template, else
  // ChatML. Throws std::exception when the template does not parse. `model` must outlive this
  // object.
  Chat(const Model* model, const std::string& template_override);
  ~Chat();

  // Throws std::exception when the template refuses the messages.
  Prompt Prepare(const std::vector<ChatMessage>& messages) const;

 private:
  struct Deleter {
    void operator()(common_chat_templates* templates) const;
  };

  const Model* model_;
  std::unique_ptr<common_chat_templates, Deleter> templates_;
};
