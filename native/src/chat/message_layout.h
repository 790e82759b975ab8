// How the messages of a chat are laid out for a chat template. A template may have no place for a
// message where it stands: a second system message, a system message between turns, two user
// messages in a row, text beside a call. A layout gives such a message another place.
#pragma once

#include <common/chat.h>

#include <string>
#include <vector>

struct MessageLayout {
  // System messages before the first turn.
  enum class Leading { kAsSent, kJoined, kInUserTurn };
  // Calls of the history, and the text beside them.
  enum class Calls { kAsSent, kTextApart, kOneByOne, kOneByOneTextApart, kInWords };

  Leading leading = Leading::kAsSent;
  Calls calls = Calls::kAsSent;
  // Begins with an empty user turn where the assistant speaks first.
  bool opens_with_user = false;
  // Leaves out the reasoning of earlier turns.
  bool drops_reasoning = false;
  // A later system message is the beginning of the next user turn, or a user turn of its own.
  bool late_system_in_user_turn = false;
  // Neighbours of the same role are one message, and empty messages of the assistant are left out.
  bool merges_turns = false;

  // `messages` in this layout; roles are `system`, `user`, `assistant` and `tool`. Every text of
  // `messages` is in the result, but for dropped reasoning.
  std::vector<common_chat_msg> Arrange(std::vector<common_chat_msg> messages) const;
  // The names of what this layout changes, as docs/chat-templates.md has them.
  std::vector<std::string> changes() const;
};

// Every layout, the ones that change less first. The first one changes nothing.
std::vector<MessageLayout> AllMessageLayouts();
