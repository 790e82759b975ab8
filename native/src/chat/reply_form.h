// Where a reply has its reasoning and its content, and the grammar of a reply whose content follows
// a schema, for chat formats whose code in llama.cpp has no place for one.
#pragma once

#include <common/chat.h>

#include <optional>
#include <string>

// What the header of a reply says of its reasoning: nothing, that it begins, or that it, perhaps
// empty, is over.
enum class HeaderReasoning { kNone, kOpen, kClosed };
HeaderReasoning HeaderReasoningOf(const common_chat_params& rendered);

// Where a format has reasoning and content in a reply, as it writes them.
struct ReplyEdges {
  // What precedes reasoning, from the beginning of the reply's header.
  std::string opening;
  // What stands between reasoning and content.
  std::string closing;
};

// Read from the header of a continued reply that has both. None where a format hides one of them.
std::optional<ReplyEdges> FindReplyEdges(const common_chat_templates* templates,
                                         const common_chat_templates_inputs& inputs);

// The same from the marks of reasoning that llama.cpp found, for templates that drop the reasoning
// of a reply that they show. None where there are no marks, or the header has both of them.
std::optional<ReplyEdges> ReplyEdgesOf(const common_chat_params& rendered);

// What stands between reasoning and a text that follows a schema.
enum class Gap { kAnySpace, kAsShown };

// GBNF for the header of the reply that `rendered` asks for, reasoning if `may_think`, and a text
// that follows `schema`. Without `edges`, the text follows the header.
std::string ReplyFormGrammar(const common_chat_params& rendered, std::optional<ReplyEdges> edges,
                             bool may_think, const common_json& schema, Gap gap = Gap::kAnySpace);
