#include "grammar/tool_schema.h"

#include <common/json-schema-to-grammar.h>

#include <algorithm>
#include <map>
#include <stdexcept>
#include <utility>

#include "grammar/call_grammar.h"
#include "grammar/grammar_rules.h"
#include "grammar/raw_string.h"
#include "grammar/written_rules.h"

namespace {

// Of references and alternatives within each other; src/grammar/schema.ts refuses endless ones.
constexpr int kMaxDepth = 64;

// Characters from which on a maximum length is a hint.
constexpr size_t kLongText = 500;

constexpr const char* kAnyValue = R"({"anyOf": [{"type": "object"}, {"type": "array"},
    {"type": "string"}, {"type": "number"}, {"type": "boolean"}, {"type": "null"}]})";

// An object with the properties of all, each with the schemas that it has in any.
common_json Union(const std::vector<common_json>& objects) {
  common_json properties = common_json::object();
  std::map<std::string, size_t> n_required;
  for (const common_json& object : objects) {
    for (const Argument& argument : ToolSchema::PropertiesOf(object)) {
      if (argument.required) ++n_required[argument.name];
      if (!properties.contains(argument.name)) {
        properties[argument.name] = common_json::array();
      }
      common_json& schemas = properties[argument.name];
      bool is_known = false;
      for (const common_json& schema : schemas) is_known |= schema == argument.schema;
      if (!is_known) schemas.push_back(argument.schema);
    }
  }
  common_json required = common_json::array();
  for (auto&& [name, schemas] : properties.items()) {
    if (n_required[name] == objects.size()) required.push_back(name);
    schemas = schemas.size() == 1 ? common_json(schemas.at(0)) : common_json{{"anyOf", schemas}};
  }
  return {{"type", "object"}, {"properties", properties}, {"required", required}};
}

}  // namespace

void RefuseToWrite(const std::string& what) {
  throw std::invalid_argument(Concat({"this model's chat format has no way to write ", what}));
}

ToolSchema::ToolSchema(const std::string& parameters, bool is_strict)
    : root_(common_json::parse(parameters.empty() ? "{}" : parameters)),
      is_strict_(is_strict),
      definitions_(root_.value("$defs", common_json::object())) {}

common_json ToolSchema::Object() const {
  std::vector<common_json> objects;
  CollectObjects(root_, &objects, 0);
  if (objects.empty()) RefuseToWrite("arguments that are no object");
  if (is_strict_) objects.resize(1);
  common_json object = objects.size() == 1 ? objects[0] : Union(objects);
  if (IsWritten(object)) object.erase("const");
  if (object.contains("properties")) {
    for (auto&& [name, property] : object.at("properties").items()) {
      // Strings stand between tags as they are, not as JSON.
      if (IsWritten(property) && MayBeString(property)) property.erase("const");
      const std::string type = TypeOf(property, 0);
      if (!type.empty()) property["type"] = type;
    }
  }
  if (!definitions_.empty()) object["$defs"] = definitions_;
  return object;
}

// NOLINTNEXTLINE(misc-no-recursion): alternatives nest.
void ToolSchema::CollectObjects(const common_json& reference, std::vector<common_json>* objects,
                                int depth) const {
  common_json schema = Resolved(reference);
  if (schema.contains("anyOf")) {
    if (depth == kMaxDepth) return;
    for (const common_json& choice : schema.at("anyOf")) {
      CollectObjects(choice, objects, depth + 1);
    }
    return;
  }
  const bool is_listed = HasConst(schema) || schema.contains("enum");
  if (!is_listed && schema.value("type", "object") == "object") {
    objects->push_back(std::move(schema));
  }
}

// NOLINTNEXTLINE(misc-no-recursion): alternatives nest.
std::string ToolSchema::TypeOf(const common_json& reference, int depth) const {
  const common_json schema = Resolved(reference);
  if (schema.contains("type") || depth == kMaxDepth) return schema.value("type", "");
  // Without a type it may be read as a string, and as something else.
  if (MayBeString(schema)) return "";
  if (schema.contains("anyOf")) return TypeOf(schema.at("anyOf").at(0), depth + 1);
  const bool is_listed = schema.contains("enum");
  if (!is_listed && !HasConst(schema)) return "";
  const common_json& value = is_listed ? schema.at("enum").at(0) : schema.at("const");
  if (value.is_object()) return "object";
  if (value.is_array()) return "array";
  if (value.is_boolean()) return "boolean";
  return value.is_null() ? "null" : "number";
}

ItemCounts ToolSchema::CountsOf(const common_json& schema) {
  const bool is_array = schema.value("type", "") == "array";
  ItemCounts counts;
  counts.min = schema.value(is_array ? "minItems" : "minProperties", counts.min);
  counts.max = schema.value(is_array ? "maxItems" : "maxProperties", counts.max);
  return counts;
}

std::vector<Argument> ToolSchema::PropertiesOf(const common_json& object) {
  std::vector<std::string> required;
  if (object.contains("required")) {
    for (const common_json& name : object.at("required")) required.push_back(name);
  }
  std::vector<Argument> properties;
  if (!object.contains("properties")) return properties;
  for (const auto& [name, schema] : object.at("properties").items()) {
    properties.push_back({name, schema, std::ranges::find(required, name) != required.end()});
  }
  return properties;
}

common_json ToolSchema::Resolved(common_json schema) const {
  for (int depth = 0; schema.contains("$ref"); ++depth) {
    if (depth == kMaxDepth) RefuseToWrite("a schema that refers to itself");
    const std::string pointer = schema.at("$ref");
    schema = common_json(definitions_.at(pointer.substr(pointer.rfind('/') + 1)));
  }
  return schema;
}

bool ToolSchema::MayBeString(const common_json& schema) const { return MayBeString(schema, 0); }

bool ToolSchema::MayBeString(const common_json& reference, int depth) const {
  if (depth == kMaxDepth) return false;
  const common_json schema = Resolved(reference);
  if (HasConst(schema)) return schema.at("const").is_string();
  if (schema.contains("enum")) {
    for (const common_json& value : schema.at("enum")) {
      if (value.is_string()) return true;
    }
    return false;
  }
  if (schema.contains("anyOf")) {
    for (const common_json& choice : schema.at("anyOf")) {
      if (MayBeString(choice, depth + 1)) return true;
    }
    return false;
  }
  return schema.value("type", "") == "string";
}

std::optional<std::string> ToolSchema::RawStrings(const common_json& schema,
                                                  const std::string& closing,
                                                  GrammarRules* rules) const {
  std::vector<std::string> strings;
  if (!CollectStrings(schema, closing, rules, &strings, 0)) return std::nullopt;
  if (strings.empty()) RefuseToWrite("the strings that a schema asks for");
  return Choice(strings);
}

// False where any text is a string of the schema.
bool ToolSchema::CollectStrings(const common_json& reference, const std::string& closing,
                                GrammarRules* rules, std::vector<std::string>* strings,
                                int depth) const {
  if (depth == kMaxDepth) return true;
  const common_json schema = Resolved(reference);
  const auto add = [&](const common_json& value) {
    if (!value.is_string()) return;
    const auto text = value.get<std::string>();
    // A grammar's text ends at a NUL.
    const bool can_stand = text.find(closing) == text.npos && text.find('\0') == text.npos;
    if (can_stand) strings->push_back(gbnf_format_literal(text));
  };
  if (schema.contains("anyOf")) {
    for (const common_json& choice : schema.at("anyOf")) {
      if (!CollectStrings(choice, closing, rules, strings, depth + 1)) return false;
    }
  } else if (HasConst(schema)) {
    add(schema.at("const"));
  } else if (schema.contains("enum")) {
    for (const common_json& value : schema.at("enum")) add(value);
  } else if (!schema.contains("type")) {
    return false;
  } else if (schema.value("type", "") == "string") {
    const std::optional<size_t> min = MinLength(schema);
    if (min == 0) return false;
    const std::string text =
        min ? TextWithout(closing, *min)
            : RawStringRule(schema.at("pattern").get<std::string>(), closing, rules);
    strings->push_back(Concat({"(", text, ")"}));
  }
  return true;
}

std::optional<size_t> ToolSchema::MinLength(const common_json& schema) const {
  const bool is_listed = HasConst(schema) || schema.contains("enum");
  if (is_listed || schema.value("type", "") != "string") return std::nullopt;
  if (!schema.contains("pattern")) return 0;
  if (!schema.contains("minLength") && !schema.contains("maxLength")) return std::nullopt;
  const size_t max = schema.value("maxLength", ItemCounts().max);
  // A long text is rather too long than without the first character of its closing mark.
  const bool is_limited = max != ItemCounts().max && (is_strict_ || max <= kLongText);
  return is_limited ? std::nullopt : std::optional(schema.value("minLength", size_t{0}));
}

std::string ToolSchema::JsonGrammar(const common_json& schema) const {
  common_json whole = schema.empty() ? common_json::parse(kAnyValue) : schema;
  if (schema.dump().find("\"$ref\"") != std::string::npos) whole["$defs"] = definitions_;
  return FiniteNumbers(json_schema_to_grammar(whole));
}
