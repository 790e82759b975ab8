// How a chat template shows tools: most from the variable `tools`, some from the text `functions`,
// and some know calls, but not tools, which then stand in the system message. Const after
// construction.
#pragma once

#include <common/chat.h>

#include <functional>
#include <string>

class ToolDisplay {
 public:
  // The prompt of the inputs. Throws std::exception where the template refuses them.
  using Render = std::function<std::string(const common_chat_templates_inputs&)>;

  // Probes the template, which must have a form for calls.
  explicit ToolDisplay(const Render& render);

  // Adds what the template needs to show the tools of `inputs`.
  void Show(common_chat_templates_inputs* inputs) const;

  // True if tools stand in the system message.
  bool in_words() const { return place_ == Place::kSystemMessage; }

 private:
  enum class Place { kTemplate, kFunctionsText, kSystemMessage };

  Place place_ = Place::kTemplate;
  // A call in the template's words, as an example; empty where it cannot be found.
  std::string example_;
};
