// The calls of a history with ids and arguments that the chat template accepts. Histories begin on
// other servers, whose ids have other forms, and hold calls whose arguments are no JSON, such as
// one that was cut. Const after construction.
#pragma once

#include <common/chat.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

// Whether a history has calls, or results of calls.
bool HasCalls(const std::vector<common_chat_msg>& messages);

class CallAdapter {
 public:
  // The prompt of the inputs. Throws std::exception where the template refuses them.
  using Render = std::function<std::string(const common_chat_templates_inputs&)>;

  // Probes the template. `parses_arguments`: llama.cpp parses arguments before it renders them.
  CallAdapter(const Render& render, bool parses_arguments);

  // Ids become short ones where the template accepts no others. Arguments become a JSON object;
  // what is none stays a text where the template shows it as it is, else it is the member
  // `arguments` of an object.
  void Adapt(std::vector<common_chat_msg>* messages) const;

 private:
  std::string Adapted(const std::string& arguments) const;

  bool parses_arguments_;
  bool wants_short_ids_ = false;
  bool shows_text_arguments_ = false;
};
