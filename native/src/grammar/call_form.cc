#include "grammar/call_form.h"

#include <common/json-schema-to-grammar.h>
#include <common/peg-parser.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <utility>

#include "grammar/raw_string.h"
#include "grammar/written_rules.h"

namespace {

enum class Notation {
  kJson,
  // Strings as they are, all else as JSON.
  kRawStrings,
  // The same, and a string that may have marks in it stands in CDATA.
  kCdata,
  // Raw is what the schema calls a string by `type`, which is written beside the name.
  kTyped,
  kGemma,
};

}  // namespace

struct CallForm {
  // Only grammars of this form have it.
  std::string_view sign;
  // The names of rules for calls begin with it.
  std::string_view rule;
  // In GBNF, up to the first argument; {} is the tool's name.
  std::string_view opening;
  // Texts around each argument; {} is its name, [] its type.
  std::string_view key;
  std::string_view closing;
  std::string_view separator;
  std::string_view end;
  Notation notation;
};

namespace {

constexpr CallForm kForms[] = {
    {.sign = R"("<|tool_call_start|>" "[")",  // LFM2
     .rule = "tool-",
     .opening = R"("{}(")",
     .key = "{}=",
     .closing = "",
     .separator = ", ",
     .end = ")",
     .notation = Notation::kJson},
    {.sign = "gemma4-dict ::=",  // Gemma 4
     .rule = "tool-",
     .opening = R"("{}{")",
     .key = "{}:",
     .closing = "",
     .separator = ",",
     .end = "}",
     .notation = Notation::kGemma},
    {.sign = R"("<function name=\"")",  // MiniCPM5
     .rule = "tool-",
     .opening = R"("<function name=\"{}\">")",
     .key = R"(<param name="{}">)",
     .closing = "</param>",
     .separator = "",
     .end = "</function>",
     .notation = Notation::kCdata},
    {.sign = R"(<atem:invoke name=)",  // Muse
     .rule = "tool-",
     .opening = R"(" to={}<|message|><atem:function_calls>\n<atem:invoke name=\"{}\">\n")",
     .key = R"(<atem:parameter name="{}">)",
     .closing = "</atem:parameter>",
     .separator = "\n",
     .end = "\n</atem:invoke>\n</atem:function_calls>",
     .notation = Notation::kRawStrings},
    {.sign = "kimi-k3-tool-call ::=",  // Kimi K3
     .rule = "kimi-k3-tool-",
     .opening = R"("<|open|>call tool=\"{}\" index=\"" [1-9] [0-9]? "\"<|sep|>")",
     .key = R"(<|open|>argument key="{}" type="[]"<|sep|>)",
     .closing = "<|close|>argument<|sep|>",
     .separator = "",
     .end = "<|close|>call<|sep|>",
     .notation = Notation::kTyped},
};

constexpr std::string_view kGemmaQuote = R"(<|"|>)";

std::string Literal(std::string_view text) { return gbnf_format_literal(std::string(text)); }

std::string Filled(std::string_view text, std::string_view place, const std::string& filling) {
  std::string filled(text);
  for (size_t at = filled.find(place); at != filled.npos;
       at = filled.find(place, at + filling.size())) {
    filled.replace(at, place.size(), filling);
  }
  return filled;
}

// Any text up to `mark`.
std::string TextBefore(const std::string& mark, GrammarRules* rules) {
  const common_peg_arena text =
      build_peg_parser([&](common_peg_parser_builder& builder) { return builder.until(mark); });
  return rules->AddGrammar(build_grammar(
      [&](const common_grammar_builder& builder) { text.build_grammar(builder, false); }));
}

// Members of an object, in its order: the required ones, then the others, each at most once.
class MemberList {
 public:
  MemberList(std::string_view separator, GrammarRules* rules)
      : separator_(separator.empty() ? " " : Concat({" ", Literal(separator), " "})),
        rules_(rules) {}

  void Add(std::string member, bool required) {
    std::string rule = rules_->AddRule(std::move(member));
    (required ? required_ : optional_).push_back(std::move(rule));
  }

  // Empty where there is none.
  std::string Expression(ItemCounts counts) const {
    std::vector<std::string> items;
    for (const std::string& member : optional_) items.push_back(separator_ + member);
    OptionalRow row(std::move(items), counts.After(required_.size()), rules_);
    std::string all;
    for (const std::string& member : required_) {
      if (!all.empty()) all += separator_;
      all += member;
    }
    if (!all.empty()) return Concat({all, " ", row.From(0)});
    if (optional_.empty() || counts.max == 0) return "";
    std::vector<std::string> firsts;
    for (size_t i = 0; i < optional_.size() && row.CanEnd(i, 0); ++i) {
      firsts.push_back(Concat({optional_[i], " ", row.From(i + 1, 1)}));
    }
    return Choice(firsts) + (counts.min == 0 ? "?" : "");
  }

 private:
  std::string separator_;
  GrammarRules* rules_;
  std::vector<std::string> required_;
  std::vector<std::string> optional_;
};

// Values in Gemma's notation: JSON whose keys have no quotes, and whose strings have their own.
class GemmaWriter {
 public:
  GemmaWriter(const ToolSchema* schema, GrammarRules* rules) : schema_(schema), rules_(rules) {}

  static std::string Key(const std::string& name) { return Literal(KeyText(name)); }

  // NOLINTNEXTLINE(misc-no-recursion): schemas nest.
  std::string Value(const common_json& schema) {
    if (schema.contains("$ref")) return Reference(schema);
    if (HasConst(schema)) return Literal(TextOf(schema.at("const")));
    if (schema.contains("enum")) {
      std::vector<std::string> texts;
      for (const common_json& value : schema.at("enum")) texts.push_back(Literal(TextOf(value)));
      return Choice(texts);
    }
    if (schema.contains("anyOf")) {
      std::vector<std::string> values;
      for (const common_json& choice : schema.at("anyOf")) values.push_back(Value(choice));
      return Choice(values);
    }
    const std::string type = schema.value("type", "");
    if (type.empty()) return "gemma4-value";
    if (type == "object") return Object(schema);
    if (type == "array") return Array(schema);
    if (type != "string") return rules_->AddGrammar(schema_->JsonGrammar(schema));
    const auto strings = schema_->RawStrings(schema, std::string(kGemmaQuote), rules_);
    const std::string quote = Literal(kGemmaQuote);
    return strings ? Concat({quote, " ", *strings, " ", quote}) : "gemma4-string";
  }

 private:
  // The rule is known before its body is, which may refer to it.
  std::string Reference(const common_json& schema) {
    const std::string pointer = schema.at("$ref");
    const auto [rule, is_new] = references_.try_emplace(pointer);
    if (!is_new) return rule->second;
    const std::string name = rules_->NewName();
    rule->second = name;
    rules_->Set(name, Value(schema_->Resolved(schema)));
    return name;
  }

  std::string Object(const common_json& schema) {
    std::string inside;
    if (schema.contains("properties")) {
      MemberList members(",", rules_);
      for (const Argument& property : ToolSchema::PropertiesOf(schema)) {
        members.Add(Concat({Key(property.name), " ", Value(property.schema)}), property.required);
      }
      inside = members.Expression(ToolSchema::CountsOf(schema));
    } else if (schema.contains("additionalProperties")) {
      const common_json& additional = schema.at("additionalProperties");
      if (additional.is_object()) inside = Members(Value(additional), schema);
    } else {
      inside = Members("gemma4-value", schema);
    }
    return Concat({R"("{" )", inside, inside.empty() ? "" : " ", R"("}")"});
  }

  // Of any names.
  std::string Members(const std::string& value, const common_json& schema) {
    const ItemCounts counts = ToolSchema::CountsOf(schema);
    return Listed(rules_->AddRule(Concat({"gemma4-dict-key ", value})), counts);
  }

  // Copies of one item, with commas between them.
  static std::string Listed(const std::string& item, ItemCounts counts) {
    if (counts.max == 0) return "";
    const std::string all = Concat({item, R"( ("," )", item, ")", counts.After(1).Repetition()});
    return counts.min == 0 ? Concat({"(", all, ")?"}) : all;
  }

  std::string Array(const common_json& schema) {
    if (schema.contains("prefixItems")) {
      std::string items;
      for (const common_json& item : schema.at("prefixItems")) {
        if (!items.empty()) items += R"( "," )";
        items += Value(item);
      }
      return Concat({R"("[" )", items, R"( "]")"});
    }
    const std::string item = rules_->AddRule(
        schema.contains("items") ? Value(schema.at("items")) : std::string("gemma4-value"));
    return Concat({R"("[" )", Listed(item, ToolSchema::CountsOf(schema)), R"( "]")"});
  }

  static std::string KeyText(const std::string& name) {
    if (name.empty() || name.find_first_of(":}") != name.npos) {
      RefuseToWrite(Concat({"the argument `", name, "`"}));
    }
    return name + ":";
  }

  static std::string TextOf(const common_json& value) {
    if (value.is_string()) {
      const auto text = value.get<std::string>();
      if (text.find(kGemmaQuote) != text.npos) RefuseToWrite("the strings that a schema asks for");
      return Concat({kGemmaQuote, text, kGemmaQuote});
    }
    if (!value.is_array() && !value.is_object()) return value.dump();
    std::string text;
    for (const auto& [name, member] : value.items()) {
      if (!text.empty()) text += ",";
      if (value.is_object()) text += KeyText(name);
      text += TextOf(member);
    }
    return value.is_array() ? Concat({"[", text, "]"}) : Concat({"{", text, "}"});
  }

  const ToolSchema* schema_;
  GrammarRules* rules_;
  std::map<std::string, std::string> references_;
};

// The arguments of one call.
class ArgumentWriter {
 public:
  ArgumentWriter(const CallForm* form, const ToolSchema* schema, GrammarRules* rules)
      : form_(form), schema_(schema), rules_(rules), gemma_(schema, rules) {}

  std::string Write(const Argument& argument) {
    const common_json schema = schema_->Resolved(argument.schema);
    std::string key(form_->key);
    bool is_raw = false;
    switch (form_->notation) {
      case Notation::kGemma:
        return Concat({gemma_.Key(argument.name), " ", gemma_.Value(argument.schema)});
      case Notation::kJson:
        break;
      case Notation::kRawStrings:
      case Notation::kCdata:
        is_raw = schema_->MayBeString(schema);
        break;
      case Notation::kTyped: {
        const std::string type = argument.schema.value("type", "string");
        is_raw = type == "string";
        key = Filled(key, "[]", type == "integer" ? "number" : type);
        break;
      }
    }
    const std::string value =
        is_raw ? RawString(schema) : rules_->AddGrammar(schema_->JsonGrammar(argument.schema));
    const std::string closing = form_->closing.empty() ? "" : Literal(form_->closing);
    key = Filled(key, "{}", argument.name);
    return Concat({Literal(key), " ", value, " ", closing});
  }

 private:
  std::string RawString(const common_json& schema) {
    if (form_->notation == Notation::kCdata) {
      if (const auto min = schema_->MinLength(schema)) return PlainOrCdata(*min);
    }
    const auto strings = schema_->RawStrings(schema, std::string(form_->closing), rules_);
    if (strings) return *strings;
    return form_->notation == Notation::kCdata ? PlainOrCdata(0)
                                               : TextBefore(std::string(form_->closing), rules_);
  }

  std::string PlainOrCdata(size_t min) {
    const std::string text = min == 0 ? TextBefore("]]>", rules_) : TextWithout("]]>", min);
    return Concat(
        {R"(([^<&\n]{)", std::to_string(min), R"(,} | "<![CDATA[" )", text, R"( "]]>"))"});
  }

  const CallForm* form_;
  const ToolSchema* schema_;
  GrammarRules* rules_;
  GemmaWriter gemma_;
};

}  // namespace

const CallForm* FindCallForm(std::string_view grammar) {
  const auto* found = std::ranges::find_if(
      kForms, [&](const CallForm& form) { return grammar.find(form.sign) != grammar.npos; });
  return found == std::end(kForms) ? nullptr : found;
}

void SetCallRule(const CallForm& form, const std::string& name,
                 const std::vector<Argument>& arguments, ItemCounts counts,
                 const ToolSchema& schema, GrammarRules* rules) {
  ArgumentWriter writer(&form, &schema, rules);
  MemberList members(form.separator, rules);
  for (const Argument& argument : arguments) {
    members.Add(writer.Write(argument), argument.required);
  }
  // llama.cpp reads no call without arguments in this notation, if the tool has any.
  if (form.notation == Notation::kJson) counts.min = std::max(counts.min, size_t{1});
  const std::string all = members.Expression(counts);
  rules->Set(RuleName(Concat({form.rule, name})),
             Concat({Filled(form.opening, "{}", name), " ", all, " ", Literal(form.end)}));
}
