#include "grammar/reply_grammar.h"

#include <common/json-schema-to-grammar.h>

#include <map>
#include <set>
#include <utility>

#include "grammar/call_arguments.h"
#include "grammar/call_form.h"
#include "grammar/call_grammar.h"
#include "grammar/grammar_rules.h"
#include "grammar/written_rules.h"

std::vector<std::string> DistinctToolNames(const std::vector<std::string>& names) {
  // llama.cpp's own rules, without `tool-` before them.
  std::set<std::string> rules = {"call", "calls", "call-root", "call-first"};
  std::vector<std::string> distinct;
  // The last number behind each name.
  std::map<std::string, int> numbers;
  for (const std::string& name : names) {
    std::string other = name;
    for (int& number = numbers.try_emplace(name, 1).first->second;
         !rules.insert(RuleName(other)).second;) {
      other = Concat({name, "_", std::to_string(++number)});
    }
    distinct.push_back(std::move(other));
  }
  return distinct;
}

CallFormat::CallFormat(std::string_view grammar, std::string_view value)
    : has_json_arguments_(grammar.find(value) != std::string_view::npos),
      form_(has_json_arguments_ ? nullptr : FindCallForm(grammar)) {}

std::string CallFormat::EnforceableParameters(const std::string& parameters, bool is_strict,
                                              std::map<std::string, std::string>* names) const {
  if (has_json_arguments_) return parameters;
  const std::string object = ObjectParameters(parameters, is_strict);
  // Rules of our own have names of their own.
  return form_ == nullptr ? WithDistinctArguments(object, names) : object;
}

std::string CallFormat::WithStrictArguments(const std::string& grammar,
                                            const std::vector<common_chat_tool>& tools,
                                            const std::set<std::string>& strict) const {
  return has_json_arguments_ ? grammar : StrictArguments(grammar, form_, tools, strict);
}

void RestoreArgumentNames(const std::map<std::string, std::string>& names,
                          common_chat_params* reply) {
  if (names.empty()) return;
  reply->grammar = WithArgumentNames(reply->grammar, names);
  reply->parser = ParserWithArgumentNames(reply->parser, names);
}

std::string StrictReply(const std::string& grammar, const ReplyRules& rules) {
  std::string strict = WithWrittenRules(FiniteNumbers(WithCallIds(grammar)));
  if (rules.begins_at_once) strict = CallAtOnce(strict, rules.thinking_mark);
  return rules.single_call ? SingleCall(strict) : strict;
}

std::string CallOrSchemaReply(const std::string& call, const std::string& schema) {
  return EitherGrammar(call, WithoutFence(schema));
}

std::string TextReply(const std::function<std::string(const common_json&)>& reply,
                      const std::string& content) {
  return WithoutSpaceBehindWritten(reply(WrittenSchema(content)));
}

std::string SchemaReply(const common_json& schema) {
  return WithWrittenRules(FiniteNumbers(json_schema_to_grammar(schema)));
}
