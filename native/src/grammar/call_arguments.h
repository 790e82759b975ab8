// Makes calls follow the schemas of their arguments where llama.cpp's grammars leave room: between
// tags they let strings be any text, and in some formats arguments come in any number and order.
#pragma once

#include <common/chat.h>

#include <string>
#include <vector>

#include "grammar/call_form.h"

// `grammar` (GBNF), one of llama.cpp's for a format that does not write arguments as JSON, with
// arguments as strict as the schemas of `tools`, which must be as src/grammar/schema.ts rewrites
// them. `form` is what `FindCallForm` says of the format. Throws std::invalid_argument where the
// format cannot write what a schema asks for.
std::string StrictArguments(const std::string& grammar, const CallForm* form,
                            const std::vector<common_chat_tool>& tools);

// What such a format can enforce of a tool's parameters: an object, of alternatives the first,
// whose properties say their type unless they may be strings, since some formats look at that
// alone.
std::string ObjectParameters(const std::string& parameters);
