#include "chat/plain_prompt.h"

#include <stdexcept>
#include <utility>

#include "grammar/reply_grammar.h"

Prompt PlainPrompt(std::vector<llama_token> tokens, const std::string& format) {
  if (tokens.empty()) throw std::runtime_error("the prompt has no tokens");
  Prompt prompt;
  prompt.tokens = std::move(tokens);
  if (format.empty()) return prompt;
  const common_json json = common_json::parse(format);
  std::string grammar;
  if (json.contains("jsonSchema")) {
    grammar = SchemaReply(json.at("jsonSchema"));
  } else {
    grammar = json.at(json.contains("grammar") ? "grammar" : "contentGrammar").get<std::string>();
  }
  prompt.constraints.grammar = {COMMON_GRAMMAR_TYPE_USER, std::move(grammar)};
  return prompt;
}
