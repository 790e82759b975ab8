// Finds the layout with which a chat template shows all messages of a request.
//
// Whether a template shows a message depends on the roles around it, not on its text. The finder
// therefore renders the request once with a probe word in place of every text, and searches the
// prompt for the words. Requests of the same shape have the same layout, which is remembered.
#pragma once

#include <common/chat.h>

#include <functional>
#include <map>
#include <mutex>
#include <string>

#include "chat/message_layout.h"

// Safe for use by several threads at the same time.
class LayoutFinder {
 public:
  // The prompt of the inputs, whose tools may not be called. Throws std::exception where the
  // template refuses them.
  using Render = std::function<std::string(const common_chat_templates_inputs&)>;

  // Without a role for them, llama.cpp gives the text of the first system message to the message
  // behind it, whatever its role, and some templates show later ones under a role that no model has
  // seen.
  LayoutFinder(Render render, bool has_system_role);

  // The layout for the messages of `inputs`, of all that show every text the one that changes
  // least. Throws RequestRefusal with the template's reason, or with the role that it leaves out.
  MessageLayout Find(const common_chat_templates_inputs& inputs) const;

 private:
  // A layout, or the sentence with which the template refuses the shape.
  struct Finding {
    MessageLayout layout;
    std::string refusal;
  };

  Finding Search(const common_chat_templates_inputs& probe) const;

  Render render_;
  bool has_system_role_;
  // False for a template that changes texts, so that no probe word is ever found.
  bool shows_words_;
  mutable std::mutex mutex_;
  mutable std::map<std::string, Finding> findings_;
};
