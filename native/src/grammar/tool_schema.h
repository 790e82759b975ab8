// The schema of a tool's arguments, as src/grammar/schema.ts rewrites it: a small language of
// types, constants, alternatives and references into its own definitions.
#pragma once

#include <common/json.h>

#include <optional>
#include <string>
#include <vector>

#include "grammar/grammar_rules.h"
#include "grammar/optional_row.h"

// Says that a format of llama.cpp's has no way to write `what`, by std::invalid_argument.
[[noreturn]] void RefuseToWrite(const std::string& what);

struct Argument {
  std::string name;
  common_json schema;
  bool required = false;
};

class ToolSchema {
 public:
  // Takes what a tool calls its parameters; empty stands for any. Calls of a tool that is not
  // strict may do what its schema forbids, where the format cannot express it.
  ToolSchema(const std::string& parameters, bool is_strict);

  // All arguments, as an object whose properties they are. Of alternatives a strict tool has the
  // first; another one has the properties of all, of which those that all require are required.
  // Properties that cannot be strings have a type. Throws where there is no object.
  common_json Object() const;

  // How many properties or items `schema` asks for.
  static ItemCounts CountsOf(const common_json& schema);

  // The properties of an object.
  static std::vector<Argument> PropertiesOf(const common_json& object);

  // What `schema` refers to, or itself.
  common_json Resolved(common_json schema) const;

  // Whether llama.cpp reads a value between tags as a string.
  bool MayBeString(const common_json& schema) const;

  // GBNF expressions of the strings of `schema`, as they stand raw before `closing`; nothing where
  // any text may. Throws where it allows none that can be written.
  std::optional<std::string> RawStrings(const common_json& schema, const std::string& closing,
                                        GrammarRules* rules) const;

  // The characters that a string of `schema` has at least, where nothing else is asked of it.
  std::optional<size_t> MinLength(const common_json& schema) const;

  // A grammar of JSON that follows `schema`.
  std::string JsonGrammar(const common_json& schema) const;

 private:
  bool CollectStrings(const common_json& schema, const std::string& closing, GrammarRules* rules,
                      std::vector<std::string>* strings, int depth) const;
  bool MayBeString(const common_json& schema, int depth) const;
  // Empty for what may be a string, or anything.
  std::string TypeOf(const common_json& schema, int depth) const;
  // The objects among the alternatives of a schema.
  void CollectObjects(const common_json& schema, std::vector<common_json>* objects,
                      int depth) const;

  common_json root_;
  bool is_strict_;
  common_json definitions_;
};
