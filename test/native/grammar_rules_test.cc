#include "grammar/grammar_rules.h"

#include <doctest.h>

#include <string>

TEST_CASE("rules are found, replaced and added") {
  GrammarRules rules("root ::= a\na ::= \"x ::= y\"\n");
  REQUIRE(rules.Find("a") != nullptr);
  CHECK(*rules.Find("a") == "\"x ::= y\"");
  CHECK(rules.Find("b") == nullptr);
  rules.Set("a", "[c]");
  CHECK(rules.text() == "a ::= [c]\nroot ::= a\n");
  const std::string rule = rules.AddRule("\"z\"");
  CHECK(*rules.Find(rule) == "\"z\"");
}

TEST_CASE("a grammar is added under names of its own") {
  GrammarRules rules("root ::= \"a\"");
  const std::string root = rules.AddGrammar("root ::= \"root\" b\nb ::= [b]\n");
  CHECK(root != "root");
  CHECK(*rules.Find("root") == "\"a\"");
  const std::string* added = rules.Find(root);
  REQUIRE(added != nullptr);
  CHECK(added->starts_with("\"root\" "));
  CHECK(*rules.Find(added->substr(std::string("\"root\" ").size())) == "[b]");
}

TEST_CASE("names of rules are those of llama.cpp") {
  CHECK(RuleName("tool-get_weather-arg-a  b") == "tool-get-weather-arg-a-b");
  CHECK(RuleName("größe") == "gr-e");
  CHECK(RuleName("_a-_b_") == "-a--b-");
}

TEST_CASE("what was set since a mark can be taken back") {
  GrammarRules rules("root ::= a\na ::= \"x\"\n");
  const std::string before = rules.text();
  rules.Set("a", "\"y\"");
  rules.Mark();
  rules.Set("a", "\"z\"");
  rules.Set("a", "\"w\"");
  rules.Set("b", "a");
  rules.AddRule("b");
  rules.Revert();
  CHECK(*rules.Find("a") == "\"y\"");
  CHECK(rules.Find("b") == nullptr);
  rules.Set("a", "\"x\"");
  CHECK(rules.text() == before);
}
