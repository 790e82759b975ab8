#include "chat/message_layout.h"

#include <algorithm>
#include <iterator>
#include <string_view>
#include <utility>

#include "chat/tool_form.h"

namespace {

using Messages = std::vector<common_chat_msg>;

bool IsSystem(const common_chat_msg& message) { return message.role == "system"; }
bool IsUser(const common_chat_msg& message) { return message.role == "user"; }
bool IsTool(const common_chat_msg& message) { return message.role == "tool"; }
bool IsAssistant(const common_chat_msg& message) { return message.role == "assistant"; }

// An assistant message that holds text alone.
bool IsAssistantText(const common_chat_msg& message) {
  return IsAssistant(message) && message.tool_calls.empty();
}

std::string JoinTexts(const std::string& first, const std::string& second) {
  if (first.empty() || second.empty()) return first + second;
  return first + "\n\n" + second;
}

common_chat_msg UserTurn(std::string content) {
  common_chat_msg message;
  message.role = "user";
  message.content = std::move(content);
  return message;
}

Messages::iterator EndOfLeading(Messages* messages) {
  return std::ranges::find_if_not(*messages, IsSystem);
}

void JoinLeading(Messages* messages) {
  const auto end = EndOfLeading(messages);
  if (end - messages->begin() < 2) return;
  for (auto message = messages->begin() + 1; message != end; ++message) {
    messages->front().content = JoinTexts(messages->front().content, message->content);
  }
  messages->erase(messages->begin() + 1, end);
}

// Gives the text of the system message at `index` to the user message behind it, else makes it a
// user message.
void MoveIntoUserTurn(size_t index, Messages* messages) {
  std::string content = std::move((*messages)[index].content);
  if (index + 1 == messages->size() || !IsUser((*messages)[index + 1])) {
    (*messages)[index] = UserTurn(std::move(content));
    return;
  }
  common_chat_msg& turn = (*messages)[index + 1];
  turn.content = JoinTexts(content, turn.content);
  messages->erase(messages->begin() + static_cast<ptrdiff_t>(index));
}

void MoveLeading(Messages* messages) {
  JoinLeading(messages);
  if (!messages->empty() && IsSystem(messages->front())) MoveIntoUserTurn(0, messages);
}

// From the last to the first, so that a row of system messages is one text in its order.
void MoveLate(Messages* messages) {
  const size_t n_leading = static_cast<size_t>(EndOfLeading(messages) - messages->begin());
  for (size_t i = messages->size(); i-- > n_leading;) {
    if (IsSystem((*messages)[i])) MoveIntoUserTurn(i, messages);
  }
}

void OpenWithUser(Messages* messages) {
  const auto first = EndOfLeading(messages);
  if (first != messages->end() && IsAssistant(*first)) messages->insert(first, UserTurn(""));
}

bool AreOneTurn(const common_chat_msg& first, const common_chat_msg& second) {
  return (IsUser(first) && IsUser(second)) || (IsAssistantText(first) && IsAssistantText(second));
}

Messages MergeTurns(Messages messages) {
  Messages merged;
  for (common_chat_msg& message : messages) {
    const bool is_empty =
        IsAssistantText(message) && message.content.empty() && message.reasoning_content.empty();
    if (is_empty) continue;
    if (!merged.empty() && AreOneTurn(merged.back(), message)) {
      merged.back().content = JoinTexts(merged.back().content, message.content);
      merged.back().reasoning_content =
          JoinTexts(merged.back().reasoning_content, message.reasoning_content);
    } else {
      merged.push_back(std::move(message));
    }
  }
  return merged;
}

// The last message may be continued, and its reasoning is then part of the reply.
void DropReasoning(Messages* messages) {
  for (auto message = messages->begin(); message + 1 < messages->end(); ++message) {
    message->reasoning_content.clear();
  }
}

Messages TextApart(Messages messages) {
  Messages apart;
  for (common_chat_msg& message : messages) {
    if (!message.tool_calls.empty() && !message.content.empty()) {
      common_chat_msg text;
      text.role = message.role;
      text.content = std::exchange(message.content, {});
      apart.push_back(std::move(text));
    }
    apart.push_back(std::move(message));
  }
  return apart;
}

// Every call of a row in a message of its own, with its results behind it.
Messages OneByOne(const Messages& messages) {
  Messages sequence;
  for (auto message = messages.begin(); message != messages.end();) {
    const auto results_end = std::find_if_not(message + 1, messages.end(), IsTool);
    if (message->tool_calls.size() < 2) {
      sequence.push_back(*message++);
      continue;
    }
    Messages results(message + 1, results_end);
    for (const common_chat_tool_call& call : message->tool_calls) {
      common_chat_msg single;
      single.role = message->role;
      if (&call == &message->tool_calls.front()) single = *message;
      single.tool_calls = {call};
      sequence.push_back(std::move(single));
      const auto answers = std::ranges::stable_partition(
          results, [&](const auto& result) { return result.tool_call_id != call.id; });
      sequence.insert(sequence.end(), answers.begin(), answers.end());
      results.erase(answers.begin(), answers.end());
    }
    sequence.insert(sequence.end(), results.begin(), results.end());
    message = results_end;
  }
  return sequence;
}

}  // namespace

std::vector<common_chat_msg> MessageLayout::Arrange(std::vector<common_chat_msg> messages) const {
  if (drops_reasoning) DropReasoning(&messages);
  if (calls == Calls::kOneByOne || calls == Calls::kOneByOneTextApart) {
    messages = OneByOne(messages);
  }
  if (calls == Calls::kTextApart || calls == Calls::kOneByOneTextApart) {
    messages = TextApart(std::move(messages));
  }
  if (calls == Calls::kInWords) messages = ToolForm::HistoryInWords(messages);
  if (leading == Leading::kJoined) JoinLeading(&messages);
  // The late ones first: a leading message that has become a user turn no longer separates them.
  if (late_system_in_user_turn) MoveLate(&messages);
  if (leading == Leading::kInUserTurn) MoveLeading(&messages);
  if (opens_with_user) OpenWithUser(&messages);
  return merges_turns ? MergeTurns(std::move(messages)) : messages;
}

std::vector<std::string> MessageLayout::changes() const {
  std::vector<std::string> names;
  if (leading == Leading::kJoined) names.push_back("system-joined");
  if (leading == Leading::kInUserTurn) names.push_back("system-in-user-turn");
  if (late_system_in_user_turn) names.push_back("late-system-in-user-turn");
  if (opens_with_user) names.push_back("empty-user-turn-first");
  if (merges_turns) names.push_back("turns-merged");
  if (calls == Calls::kOneByOne || calls == Calls::kOneByOneTextApart) {
    names.push_back("calls-one-by-one");
  }
  if (calls == Calls::kTextApart || calls == Calls::kOneByOneTextApart) {
    names.push_back("text-apart-from-calls");
  }
  if (calls == Calls::kInWords) names.push_back("calls-in-words");
  if (drops_reasoning) names.push_back("reasoning-dropped");
  return names;
}

std::vector<MessageLayout> AllMessageLayouts() {
  using Leading = MessageLayout::Leading;
  using Calls = MessageLayout::Calls;
  std::vector<MessageLayout> layouts;
  for (const bool drops_reasoning : {false, true}) {
    for (const Calls calls : {Calls::kAsSent, Calls::kTextApart, Calls::kOneByOne,
                              Calls::kOneByOneTextApart, Calls::kInWords}) {
      for (const Leading leading : {Leading::kAsSent, Leading::kJoined, Leading::kInUserTurn}) {
        for (const bool opens_with_user : {false, true}) {
          for (const bool moves_late : {false, true}) {
            for (const bool merges : {false, true}) {
              layouts.push_back({
                  .leading = leading,
                  .calls = calls,
                  .opens_with_user = opens_with_user,
                  .drops_reasoning = drops_reasoning,
                  .late_system_in_user_turn = moves_late,
                  .merges_turns = merges,
              });
            }
          }
        }
      }
    }
  }
  return layouts;
}
