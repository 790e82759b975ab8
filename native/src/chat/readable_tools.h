// Tools in a form that every chat template can show. Templates that write a schema in a notation of
// their own fail on what JSON Schema allows beyond the usual: a property without a type or with
// several, an array without `items`, a description that is null.
#pragma once

#include <common/chat.h>

#include <string>
#include <vector>

// What a template can read of a schema.
enum class SchemaReader {
  // Properties with one type each, within objects and arrays as well.
  kTypes,
  // Scalars alone: Command R+ fails on every array, and on a property without one type.
  kScalars,
};

// `tools` with schemas that `reader` can read. What this leaves out stands in the descriptions, as
// JSON. For display only: calls follow the schemas as they were sent.
std::vector<common_chat_tool> ReadableTools(std::vector<common_chat_tool> tools,
                                            SchemaReader reader);

// True if `prompt` has the name of every parameter of `tools`.
bool ShowsParameters(const std::string& prompt, const std::vector<common_chat_tool>& tools);
