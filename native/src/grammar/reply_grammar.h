// The one door to the grammars that llama.cpp generates for replies. The chat room includes this
// header and no other of the grammar room.
//
// llama.cpp's chat formats generate GBNF for a reply. It often allows more than a request does: a
// model may write before a required call, and between tags a string may be any text. This room
// reads that text and makes it stricter; the parser of the reply stays llama.cpp's
// (docs/decisions/0008-structured-replies.md).
//
// Tied to llama.cpp v0.5.0, the release in node-llama-cpp 3.22.1 (docs/decisions/0004-pinning.md):
// the files behind this header know the names and forms of generated rules, such as `root`,
// `tool-calls`, `until-<n>`, `ac-<n>` and `tool-<name>-arg-<argument>`. A rule of an unknown form
// stays as it is, so a new release makes replies less strict rather than wrong. These tests detect
// that: test/engine/template-families.test.ts ("writes calls whose arguments follow their schema",
// for every template in llama.cpp's source, and "calls of every family have been seen") and
// test/engine/call-arguments.test.ts.
#pragma once

#include <common/chat.h>

#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

struct CallForm;

// `names` of tools in a form in which llama.cpp's grammars tell them apart: it makes one rule of
// names that differ in nothing but signs. A name that looks like an earlier one gets a number.
std::vector<std::string> DistinctToolNames(const std::vector<std::string>& names);

// How the calls of one chat format hold their arguments.
class CallFormat {
 public:
  // A format whose arguments are JSON: llama.cpp enforces all of their schemas.
  CallFormat() = default;

  // The format whose grammar for a required call is `grammar`. The only argument of the called tool
  // must be the string `value`, which the grammar contains where arguments are JSON.
  CallFormat(std::string_view grammar, std::string_view value);

  // The part of a tool's parameters that calls can follow in this format. Arguments that llama.cpp
  // would take for one get other names, added to `names`: see WithArgumentNames(). Throws
  // std::invalid_argument where there is none.
  std::string EnforceableParameters(const std::string& parameters, bool is_strict,
                                    std::map<std::string, std::string>* names) const;

  // `grammar`, generated for these tools, with arguments as strict as their parameters, which must
  // be enforceable and as src/grammar/schema.ts rewrites them. Calls of tools that are not `strict`
  // may do what the format cannot express. Throws RequestRefusal for a strict one.
  std::string WithStrictArguments(const std::string& grammar,
                                  const std::vector<common_chat_tool>& tools,
                                  const std::set<std::string>& strict) const;

 private:
  bool has_json_arguments_ = true;
  // Of formats for which llama.cpp enforces nothing but the tool's name; else null.
  const CallForm* form_ = nullptr;
};

// `reply`, whose grammar and parser are made of parameters with such names, with those of the
// client.
void RestoreArgumentNames(const std::map<std::string, std::string>& names,
                          common_chat_params* reply);

// What a request allows of a reply, beyond its chat format.
struct ReplyRules {
  // True if the reply must begin with a call, or with the text that follows a schema. Reasoning may
  // precede it, unless there is a `thinking_mark` (such as `<think>`), which begins the reasoning
  // to leave out.
  bool begins_at_once = false;
  std::string thinking_mark = {};
  // True if there may be one call only.
  bool single_call = false;
};

// llama.cpp's `grammar` of a reply, as strict as `rules`.
std::string StrictReply(const std::string& grammar, const ReplyRules& rules);

// The grammar of a reply that follows one of two strict grammars: the one of a call, or the one of
// a JSON schema, then without the Markdown fence that llama.cpp allows around JSON.
std::string CallOrSchemaReply(const std::string& call, const std::string& schema);

// The grammar of a reply whose content follows the GBNF `content` exactly. `reply` returns the
// grammar of one whose content follows a schema.
std::string TextReply(const std::function<std::string(const common_json&)>& reply,
                      const std::string& content);

// The grammar of a reply without a chat format that follows a JSON schema.
std::string SchemaReply(const common_json& schema);
