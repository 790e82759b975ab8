#include "grammar/call_arguments.h"

#include <common/json-schema-to-grammar.h>

#include <algorithm>
#include <set>
#include <stdexcept>
#include <string_view>

#include "core/error.h"
#include "grammar/call_form.h"
#include "grammar/grammar_rules.h"
#include "grammar/optional_row.h"
#include "grammar/raw_string.h"
#include "grammar/tool_schema.h"

namespace {

bool IsNumbered(std::string_view name, std::string_view stem) {
  return name.starts_with(stem) && name.size() > stem.size() &&
         name.find_first_not_of("0123456789", stem.size()) == name.npos;
}

// Where the rule `name` takes arguments that need not be there in any number and order, it takes
// each at most once, in order, and so many of them.
void TakeOnce(const std::string& name, std::vector<std::string> arguments, ItemCounts counts,
              GrammarRules* rules) {
  const std::string choices = Choice(arguments);
  const std::string spaced_loop = Concat({"(space ", choices, ")*"});
  const std::string loop = Concat({choices, "*"});
  std::string body = *rules->Find(name);
  size_t at = body.find(spaced_loop);
  const bool is_spaced = at != std::string::npos;
  if (!is_spaced) at = body.find(loop);
  if (at == std::string::npos) return;
  if (is_spaced) {
    for (std::string& argument : arguments) argument = Concat({"space ", argument});
  }
  OptionalRow row(std::move(arguments), counts, rules);
  body.replace(at, is_spaced ? spaced_loop.size() : loop.size(), row.From(0));
  rules->Set(name, std::move(body));
}

// A place in a rule where a string may be any text.
struct FreeText {
  size_t first = 0;
  size_t size = 0;
  // What ends it, and whether the rule says so itself, behind that place.
  std::string closing;
  bool is_closed = false;
};

// Strings between tags in the rules of one tool.
class TagTightener {
 public:
  TagTightener(const ToolSchema* schema, GrammarRules* rules) : schema_(schema), rules_(rules) {}

  // `rule` is built of rules for `properties`, named `stem`-<property>.
  // NOLINTNEXTLINE(misc-no-recursion): schemas nest.
  void TightenMembers(const std::string& rule, const std::string& stem,
                      const std::vector<Argument>& properties, ItemCounts counts,
                      bool is_within = false) {
    const std::string* body = rules_->Find(rule);
    if (body == nullptr) return;
    std::vector<std::string> optional;
    size_t n_required = 0;
    for (const Argument& property : properties) {
      const std::string name = RuleName(Concat({stem, "-", property.name}));
      // Another argument's rule may have the name that one within this would have.
      if (is_within && !Mentions(*body, name)) continue;
      Tighten(name, property.schema);
      if (property.required) {
        ++n_required;
      } else {
        optional.push_back(name);
      }
    }
    if (!optional.empty()) TakeOnce(rule, std::move(optional), counts.After(n_required), rules_);
  }

 private:
  // The rule of an argument, and of what is within it in a format whose tags nest.
  void Tighten(const std::string& rule, const common_json& schema) {
    const std::string* found = rules_->Find(rule);
    if (found == nullptr) return;
    const FreeText text = FindFreeText(*found);
    if (text.size == 0) return Within(rule, rule, schema_->Resolved(schema));
    if (text.closing.empty()) return;
    if (const auto strings = schema_->RawStrings(schema, text.closing, rules_)) {
      const std::string closing = text.is_closed ? "" : gbnf_format_literal(text.closing);
      std::string body = *found;
      body.replace(text.first, text.size, Concat({*strings, " ", closing}));
      rules_->Set(rule, std::move(body));
    }
  }

  static bool Mentions(std::string_view body, const std::string& name) {
    for (size_t at = body.find(name); at != body.npos; at = body.find(name, at + 1)) {
      const size_t end = at + name.size();
      const bool begins = at == 0 || !IsRuleLetter(body[at - 1]);
      if (begins && (end == body.size() || !IsRuleLetter(body[end]))) return true;
    }
    return false;
  }

  // What is within a value has rules named `stem`-<part> only where its tags nest.
  void Within(const std::string& rule, const std::string& stem, const common_json& schema) {
    if (schema.contains("anyOf")) {
      int index = 0;
      for (const common_json& choice : schema.at("anyOf")) {
        Within(rule, Concat({stem, "-", std::to_string(index++)}), schema_->Resolved(choice));
      }
    } else if (schema.value("type", "") == "object") {
      TightenMembers(rule, stem, ToolSchema::PropertiesOf(schema), ToolSchema::CountsOf(schema),
                     true);
    } else if (schema.value("type", "") == "array") {
      CountItems(rule, stem, schema);
      const std::string item = stem + "-item";
      if (!schema.contains("items") || !Mentions(*rules_->Find(rule), item)) return;
      Tighten(item, schema.at("items"));
    }
  }

  void CountItems(const std::string& rule, const std::string& stem, const common_json& schema) {
    std::string body = *rules_->Find(rule);
    const std::string any = Concat({"(space ", stem, "-item)*"});
    const size_t at = body.find(any);
    if (at == std::string::npos) return;
    body.replace(at + any.size() - 1, 1, ToolSchema::CountsOf(schema).Repetition());
    rules_->Set(rule, std::move(body));
  }

  FreeText FindFreeText(std::string_view body) const {
    char closer = 0;
    for (size_t i = 0; i < body.size(); ++i) {
      const char c = body[i];
      if (closer != 0) {
        if (c == '\\') {
          ++i;
        } else if (c == closer) {
          closer = 0;
        }
      } else if (c == '"' || c == '[') {
        closer = c == '"' ? '"' : ']';
      } else if (IsRuleLetter(c)) {
        const size_t first = i;
        while (i + 1 < body.size() && IsRuleLetter(body[i + 1])) ++i;
        FreeText text = FreeTextAt(body, first, i + 1 - first);
        if (text.size > 0) return text;
      }
    }
    return {};
  }

  FreeText FreeTextAt(std::string_view body, size_t first, size_t size) const {
    const std::string name(body.substr(first, size));
    if (IsNumbered(name, "until-")) {
      return {first, size, LiteralAt(body.substr(first + size)), true};
    }
    if (IsNumbered(name, "ac-")) return {first, size, ClosingMark(*rules_, name), false};
    // Strings of Qwen3-Coder's and of Ling 3's arguments.
    for (const char* shared : {"xml-arg-string", "ling3-arg-string"}) {
      const std::string* rule = name == shared ? rules_->Find(name) : nullptr;
      if (rule != nullptr) return {first, size, FindFreeText(*rule).closing, false};
    }
    return {};
  }

  // The text of a literal that follows, with what GBNF escapes in one.
  static std::string LiteralAt(std::string_view rest) {
    std::string text;
    for (size_t i = rest.find('"') + 1; i < rest.size() && rest[i] != '"'; ++i) {
      const bool is_escape = rest[i] == '\\' && i + 1 < rest.size();
      if (is_escape) ++i;
      text += is_escape && rest[i] == 'n' ? '\n' : rest[i];
    }
    return text;
  }

  const ToolSchema* schema_;
  GrammarRules* rules_;
};

// Behind arguments that have no closing mark of their own llama.cpp's parser takes no blanks,
// although its grammar does.
void CloseWithoutBlanks(const std::string& tool, GrammarRules* rules) {
  const std::string* call = rules->Find(RuleName(Concat({"tool-", tool})));
  const std::string* found = rules->Find("tool-call");
  if (call == nullptr || found == nullptr || call->ends_with('"')) return;
  std::string wrapped = *found;
  constexpr std::string_view kBlanks = ") space \"";
  for (size_t at = wrapped.find(kBlanks); at != std::string::npos; at = wrapped.find(kBlanks)) {
    wrapped.replace(at, kBlanks.size(), ") \"");
  }
  rules->Set("tool-call", std::move(wrapped));
}

void MakeStrict(const common_chat_tool& tool, const CallForm* form, bool is_strict,
                GrammarRules* rules) {
  const ToolSchema schema(tool.parameters, is_strict);
  const common_json object = schema.Object();
  const std::vector<Argument> arguments = ToolSchema::PropertiesOf(object);
  const ItemCounts counts = ToolSchema::CountsOf(object);
  if (form != nullptr) {
    SetCallRule(*form, tool.name, arguments, counts, schema, rules);
    return;
  }
  TagTightener tightener(&schema, rules);
  const std::string call = RuleName(Concat({"tool-", tool.name}));
  tightener.TightenMembers(call, Concat({call, "-arg"}), arguments, counts);
  const std::string ling = RuleName(tool.name);
  tightener.TightenMembers(Concat({"ling3-tool-", ling}), Concat({"ling3-arg-", ling}), arguments,
                           counts);
  CloseWithoutBlanks(tool.name, rules);
}

// Stands for an argument in grammars: of letters that every rule's name keeps.
std::string PlaceholderOf(size_t number) {
  return Concat({"argument-7f3a-", std::to_string(number), "x"});
}

void ReplaceAll(const std::string& from, const std::string& to, std::string* text) {
  for (size_t at = text->find(from); at != text->npos; at = text->find(from, at + to.size())) {
    text->replace(at, from.size(), to);
  }
}

}  // namespace

std::string StrictArguments(const std::string& grammar, const CallForm* form,
                            const std::vector<common_chat_tool>& tools,
                            const std::set<std::string>& strict) {
  GrammarRules rules(grammar);
  for (const common_chat_tool& tool : tools) {
    const bool is_strict = strict.contains(tool.name);
    rules.Mark();
    try {
      MakeStrict(tool, form, is_strict, &rules);
    } catch (const std::invalid_argument& error) {
      if (is_strict) {
        throw RequestRefusal("tools", Concat({"`tools` has a strict function `", tool.name,
                                              "` that cannot be enforced: ", error.what(), "."}));
      }
      rules.Revert();
    }
  }
  return rules.text();
}

std::string ObjectParameters(const std::string& parameters, bool is_strict) {
  const common_json object = ToolSchema(parameters, is_strict).Object();
  // What is the same keeps its letters: it stands in the prompt.
  return parameters.empty() || object == common_json::parse(parameters) ? parameters
                                                                        : object.dump();
}

std::string WithDistinctArguments(const std::string& parameters, ArgumentNames* names) {
  if (parameters.empty()) return parameters;
  common_json object = common_json::parse(parameters);
  if (!object.contains("properties")) return parameters;
  std::set<std::string> taken;
  std::map<std::string, std::string> renamed;
  common_json properties = common_json::object();
  for (auto&& [name, schema] : object.at("properties").items()) {
    std::string other = name;
    if (!taken.insert(RuleName(name)).second) {
      other = PlaceholderOf(names->size());
      names->emplace(other, name);
      renamed.emplace(name, other);
    }
    properties[other] = schema;
  }
  if (renamed.empty()) return parameters;
  object["properties"] = properties;
  if (object.contains("required")) {
    for (common_json& name : object.at("required")) {
      const auto found = renamed.find(name.get<std::string>());
      if (found != renamed.end()) name = found->second;
    }
  }
  return object.dump();
}

std::string WithArgumentNames(const std::string& grammar, const ArgumentNames& names) {
  std::string renamed;
  for (size_t i = 0; i < grammar.size();) {
    const char opener = grammar[i];
    size_t end = i + 1;
    // Names of rules keep the placeholders, literals do not.
    if (opener == '"' || opener == '[') {
      const char closer = opener == '"' ? '"' : ']';
      while (end < grammar.size() && grammar[end] != closer) end += grammar[end] == '\\' ? 2 : 1;
      end = std::min(end + 1, grammar.size());
    }
    std::string part = grammar.substr(i, end - i);
    for (const auto& [placeholder, name] : names) {
      const std::string literal = gbnf_format_literal(name);
      if (opener == '"') ReplaceAll(placeholder, literal.substr(1, literal.size() - 2), &part);
    }
    renamed += part;
    i = end;
  }
  return renamed;
}

std::string ParserWithArgumentNames(const std::string& parser, const ArgumentNames& names) {
  std::string renamed = parser;
  for (const auto& [placeholder, name] : names) {
    const std::string text = common_json(name).dump();
    ReplaceAll(placeholder, text.substr(1, text.size() - 2), &renamed);
  }
  return renamed;
}
