// Tools for chat templates that have no place for them: the system message describes the tools in
// words, and the model replies in the form of a template of our own (Hermes style), which llama.cpp
// can enforce and parse. Const after construction.
#pragma once

#include <common/chat.h>

#include <string>
#include <vector>

// Descriptions of `tools`, and with a non-empty `example` how a call of one is written.
std::string ToolsInWords(const std::vector<common_chat_tool>& tools, const std::string& example);

// Adds a paragraph to the first message if it is a system message, else such a message before it.
void AddToSystemMessage(const std::string& text, std::vector<common_chat_msg>* messages);

class ToolForm {
 public:
  // `model` only has to outlive the constructor.
  explicit ToolForm(const llama_model* model);

  // What the model's template is given instead of `inputs`: the tools stand in the system message,
  // calls and results in the other messages, and nothing but text is left.
  static common_chat_templates_inputs InWords(const common_chat_templates_inputs& inputs);

  // `messages` with calls and results as text. Results, and what the user says after them, are one
  // message.
  static std::vector<common_chat_msg> HistoryInWords(const std::vector<common_chat_msg>& messages);

  // The form of the reply to `inputs`, which `prompt` asks for: all but the prompt is of use.
  common_chat_params ReplyForm(common_chat_templates_inputs inputs,
                               const std::string& prompt) const;

  // What begins a thought in a reply of this form; a template must have the same mark, or none.
  static constexpr const char* kThinkingMark = "<think>";

  // Whether a reply may hold several calls.
  bool calls_in_parallel() const;

 private:
  common_chat_templates_ptr templates_;
};
