// A chat request as the addon receives it, read for llama.cpp.
#pragma once

#include <common/chat.h>

#include <map>
#include <set>
#include <string>

#include "chat/chat_template.h"

// A JSON object; every key but the first may be missing:
//   messages            array, as in OpenAI's API, contents being strings
//   tools               array, as in OpenAI's API; `strict` says that calls must follow the schema
//   enforcedTools       array like `tools`; without it, calls have to follow `tools`
//   toolChoice          "auto" (the default), "none" or "required"
//   parallelToolCalls   boolean; without it, where the template has a form for it
//   jsonSchema          what the reply must conform to, where it calls no tool
//   grammar             GBNF that the reply must follow
//   contentGrammar      GBNF that the content must follow, behind the reasoning
//   thinking            boolean; without it, the template's default
//   thinkingBudget      maximum number of reasoning tokens
//   templateArguments   object of further variables for the template
//   ending              "turn": the prompt ends with the beginning of a new message of the
//                       assistant; "closed": with the last message. Without it, a last message of
//                       the assistant is continued, and after any other one a new message begins
struct ChatRequest {
  common_chat_templates_inputs inputs;
  // What calls have to follow, with the part of their schemas that can be enforced. Equal to
  // `inputs.tools` where nothing else was asked for.
  std::vector<common_chat_tool> enforced_tools;
  // Of them those whose schemas calls must follow, or the request is refused.
  std::set<std::string> strict_tools;
  // The client's names of arguments by the ones that `enforced_tools` has, where they differ.
  std::map<std::string, std::string> argument_names;
  // The client's names of tools by the ones that the prompt and the reply have, where they differ.
  std::map<std::string, std::string> tool_names;
  // Empty for any content.
  std::string content_grammar;
  // -1 for no limit.
  int32_t thinking_budget = -1;

  bool calls_tools() const {
    return !inputs.tools.empty() && inputs.tool_choice != COMMON_CHAT_TOOL_CHOICE_NONE;
  }
};

// Throws std::exception when a part is refused.
ChatRequest ReadChatRequest(const std::string& text, const ChatTemplate& chat_template);
