#include "chat/readable_tools.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

namespace {

constexpr std::array<std::string_view, 6> kTypes = {"string",  "number", "integer",
                                                    "boolean", "array",  "object"};
// What templates look for in a value whose type they do not know.
constexpr const char* kAnyType = "any";
// Of properties within each other that are shown one by one.
constexpr int kMaxDepth = 16;

bool HasKnownType(const common_json& schema) {
  return schema.contains("type") && schema.at("type").is_string() &&
         std::ranges::find(kTypes, schema.at("type").get<std::string>()) != kTypes.end();
}

// NOLINTNEXTLINE(misc-no-recursion): schemas nest.
bool IsSimple(const common_json& schema, int depth) {
  if (depth > kMaxDepth || !schema.is_object() || !HasKnownType(schema)) return false;
  const auto type = schema.at("type").get<std::string>();
  if (type == "array" && !schema.contains("items")) return false;
  if (type == "object" && !schema.contains("properties")) return false;
  for (const auto& [key, value] : schema.items()) {
    if (key == "type") continue;
    if (key == "description" || key == "title") {
      if (!value.is_string()) return false;
    } else if (key == "enum") {
      // Some templates write values as texts.
      if (!value.is_array()) return false;
      for (const common_json& each : value) {
        if (!each.is_string()) return false;
      }
    } else if (key == "items") {
      if (!IsSimple(value, depth + 1)) return false;
    } else if (key == "properties") {
      if (!value.is_object()) return false;
      for (const auto& [name, property] : value.items()) {
        if (!IsSimple(property, depth + 1)) return false;
      }
    } else if (key == "required") {
      if (!value.is_array()) return false;
    } else if (key != "additionalProperties" || !value.is_boolean()) {
      return false;
    }
  }
  return true;
}

// The first type of `schema` that is not null.
std::string TypeOf(const common_json& schema) {
  if (!schema.is_object() || !schema.contains("type")) return kAnyType;
  const common_json& type = schema.at("type");
  if (type.is_string()) return type.get<std::string>();
  if (type.is_array()) {
    for (const common_json& each : type) {
      if (each.is_string() && each.get<std::string>() != "null") return each.get<std::string>();
    }
  }
  return kAnyType;
}

std::string DescriptionOf(const common_json& schema) {
  const bool has_text =
      schema.is_object() && schema.contains("description") && schema.at("description").is_string();
  return has_text ? schema.at("description").get<std::string>() : "";
}

std::string WithSchema(const std::string& description, const common_json& schema) {
  return description + (description.empty() ? "" : " ") + "JSON schema: " + schema.dump();
}

bool HasReadableType(const common_json& property, SchemaReader reader) {
  const std::string type = TypeOf(property);
  return reader == SchemaReader::kTypes ||
         (type != "array" && type != "object" && type != kAnyType);
}

// `definitions` are those of the whole schema, to which the property may refer.
common_json ReadableProperty(const common_json& property, const common_json& definitions,
                             SchemaReader reader) {
  const bool is_readable = HasReadableType(property, reader);
  if (is_readable && IsSimple(property, 0)) return property;
  const std::string type = TypeOf(property);
  common_json whole = property;
  if (!definitions.is_null() && property.dump().find("\"$ref\"") != std::string::npos) {
    whole["$defs"] = definitions;
  }
  common_json readable = {{"description", WithSchema(DescriptionOf(property), whole)}};
  if (!is_readable) return readable;
  readable["type"] = type;
  if (type == "array") readable["items"] = common_json{{"type", kAnyType}};
  if (type == "object") readable["properties"] = common_json::object();
  return readable;
}

bool IsReadable(const common_json& schema, SchemaReader reader) {
  if (!IsSimple(schema, 0)) return false;
  for (const auto& [name, property] : schema.at("properties").items()) {
    if (!HasReadableType(property, reader)) return false;
  }
  return true;
}

common_json Definitions(const common_json& schema) {
  for (const char* key : {"$defs", "definitions"}) {
    if (schema.contains(key)) return schema.at(key);
  }
  return nullptr;
}

void MakeReadable(SchemaReader reader, common_chat_tool* tool) {
  const common_json schema = common_json::parse(tool->parameters.empty() ? "{}" : tool->parameters);
  if (IsReadable(schema, reader)) return;
  common_json properties = common_json::object();
  common_json required = common_json::array();
  const bool has_properties =
      schema.is_object() && schema.contains("properties") && schema.at("properties").is_object();
  if (has_properties) {
    const common_json definitions = Definitions(schema);
    for (const auto& [name, property] : schema.at("properties").items()) {
      properties[name] = ReadableProperty(property, definitions, reader);
    }
    if (schema.contains("required") && schema.at("required").is_array()) {
      required = schema.at("required");
    }
  }
  // Alternatives and rules of the whole have no place in the form of a template.
  const bool is_whole =
      has_properties && std::ranges::none_of(std::array{"anyOf", "oneOf", "allOf", "$ref"},
                                             [&](const char* key) { return schema.contains(key); });
  if (!is_whole && !schema.empty()) tool->description = WithSchema(tool->description, schema);
  common_json readable = {{"type", "object"}, {"properties", properties}};
  readable["required"] = required;
  tool->parameters = readable.dump();
}

// The names of the properties of `schema`, and of its alternatives.
// NOLINTNEXTLINE(misc-no-recursion): alternatives nest.
void CollectNames(const common_json& schema, int depth, std::vector<std::string>* names) {
  if (!schema.is_object() || depth > kMaxDepth) return;
  if (schema.contains("properties") && schema.at("properties").is_object()) {
    for (const auto& [name, property] : schema.at("properties").items()) names->push_back(name);
  }
  for (const char* key : {"anyOf", "oneOf", "allOf"}) {
    if (!schema.contains(key) || !schema.at(key).is_array()) continue;
    for (const common_json& choice : schema.at(key)) CollectNames(choice, depth + 1, names);
  }
}

}  // namespace

std::vector<common_chat_tool> ReadableTools(std::vector<common_chat_tool> tools,
                                            SchemaReader reader) {
  for (common_chat_tool& tool : tools) MakeReadable(reader, &tool);
  return tools;
}

bool ShowsParameters(const std::string& prompt, const std::vector<common_chat_tool>& tools) {
  std::vector<std::string> names;
  for (const common_chat_tool& tool : tools) {
    if (!tool.parameters.empty()) CollectNames(common_json::parse(tool.parameters), 0, &names);
  }
  return std::ranges::all_of(
      names, [&](const std::string& name) { return prompt.find(name) != std::string::npos; });
}
