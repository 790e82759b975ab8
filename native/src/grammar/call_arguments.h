// Makes calls follow the schemas of their arguments where llama.cpp's grammars leave room: between
// tags they let strings be any text, and in some formats arguments come in any number and order.
#pragma once

#include <common/chat.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "grammar/call_form.h"

// Arguments by the names that stand for them in grammars.
using ArgumentNames = std::map<std::string, std::string>;

// `grammar` (GBNF), one of llama.cpp's for a format that does not write arguments as JSON, with
// arguments as strict as the schemas of `tools`, which must be as src/grammar/schema.ts rewrites
// them. `form` is what `FindCallForm` says of the format. A tool that the format cannot write so
// stays as it is, unless it is one of the `strict` ones: then throws RequestRefusal.
std::string StrictArguments(const std::string& grammar, const CallForm* form,
                            const std::vector<common_chat_tool>& tools,
                            const std::set<std::string>& strict);

// What such a format can enforce of a tool's parameters: an object, see ToolSchema::Object(), whose
// properties say their type unless they may be strings, since some formats look at that alone.
std::string ObjectParameters(const std::string& parameters, bool is_strict);

// The same parameters with other names of arguments that llama.cpp cannot tell apart: it makes one
// rule of names that differ in nothing but signs. Adds these names to `names`.
std::string WithDistinctArguments(const std::string& parameters, ArgumentNames* names);

// `grammar`, or `parser` as JSON, made of such parameters, with the arguments' own names.
std::string WithArgumentNames(const std::string& grammar, const ArgumentNames& names);
std::string ParserWithArgumentNames(const std::string& parser, const ArgumentNames& names);
