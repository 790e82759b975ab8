#include "grammar/raw_string.h"

#include <doctest.h>

#include <stdexcept>
#include <string>

namespace {

GrammarRules rules("");

}  // namespace

TEST_CASE("classes, groups and counts stay") {
  CHECK(RawStringRule("^([a-c]|[\\U0000002d]){2,3}[x]*$", "</v>", &rules) ==
        "([\\U00000061-\\U00000063]|[\\U0000002d]){2,3}[\\U00000078]*");
  CHECK(RawStringRule("^$", "</v>", &rules) == "\"\"");
}

TEST_CASE("a repeated group with groups or counts in it is a rule") {
  GrammarRules own("");
  CHECK(RawStringRule("^([a]{1,50}[b]){1,50}([c]){2}$", "</v>", &own) ==
        " strict-1{1,50}([\\U00000063]){2}");
  CHECK(*own.Find("strict-1") == "[\\U00000061]{1,50}[\\U00000062]");
  CHECK_THROWS_AS(RawStringRule("^([a]$", "</v>", &own), std::invalid_argument);
  CHECK_THROWS_AS(RawStringRule("^[a])$", "</v>", &own), std::invalid_argument);
}

TEST_CASE("an escape of JSON becomes its character") {
  CHECK(RawStringRule(R"(^[\\][\U00000022][\\][n][\\][\U0000005c]$)", "</v>", &rules) ==
        "[\\U00000022][\\U0000000a][\\U0000005c]");
}

TEST_CASE("what begins the closing mark is in no class of several characters") {
  CHECK(RawStringRule("^[\\U00000020-\\U0000007e]$", "</v>", &rules) ==
        "[\\U00000020-\\U0000003b\\U0000003d-\\U0000007e]");
  CHECK(RawStringRule("^[\\U0000003c]$", "</v>", &rules) == "[\\U0000003c]");
  CHECK(RawStringRule("^[\\U0000003c\\U0000003c]$", "</v>", &rules) == "[\\U0000003c\\U0000003c]");
  CHECK(RawStringRule("^[\\U0000ff5b-\\U0000ff5d]$", "｜", &rules) == "[\\U0000ff5b\\U0000ff5d]");
}

TEST_CASE("a pattern of another form is refused") {
  for (const char* pattern : {"a", "^a$", "^[a$", "^[\\d]$", "^[\\U12]$", "^[\\\\][z]$", "^.$"}) {
    CAPTURE(pattern);
    CHECK_THROWS_AS(RawStringRule(pattern, "</v>", &rules), std::invalid_argument);
  }
}

TEST_CASE("a closing mark is read from its automaton") {
  const GrammarRules rules(
      "x ::= ac-1\n"
      "ac-1 ::= [<] ac-1-01 | [^<] ac-1\n"
      "ac-1-01 ::= [<] ac-1-01 | [/] ac-1-02 | [^/<] ac-1\n"
      "ac-1-02 ::= [<] ac-1-01 | [\\]] ac-1-03 | [^\\]<] ac-1\n"
      "ac-1-03 ::= [\\xF6] ac-1-04 | [<] ac-1-01 | [^<\\xF6] ac-1\n"
      "ac-1-04 ::= [\\uFF5C] ac-1-05 | [<] ac-1-01 | [^<\\uFF5C] ac-1\n"
      "ac-1-05 ::= [\\n] | [<] ac-1-01 | [^\\n<] ac-1\n");
  CHECK(ClosingMark(rules, "ac-1") == "</]ö｜\n");
  CHECK(ClosingMark(rules, "ac-2").empty());
  CHECK(ClosingMark(rules, "x").empty());
}

TEST_CASE("text without a mark may hold all but the mark") {
  CHECK(TextWithout("</p>", 1) ==
        R"(([^\U0000003c] | [\U0000003c]+ ([^\U0000003c\U0000002f] | [\U0000002f] )"
        R"(([^\U0000003c\U00000070] | [\U00000070] [^\U0000003c\U0000003e]))))"
        R"({1,} [\U0000003c]*)");
  CHECK(TextWithout("\n", 0) == R"([^\U0000000a]{0,})");
}
