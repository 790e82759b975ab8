#include "grammar/call_grammar.h"

#include <doctest.h>

TEST_CASE("free text at the root is left out") {
  const std::string rules = "space ::= | \" \"\ntool-calls ::= \"x\"\n";
  CHECK(CallAtOnce("root ::= \"<a b>\\n\" space until-183? tool-calls\n" + rules, "") ==
        "root ::= \"<a b>\\n\" space tool-calls\n" + rules);
  CHECK(CallAtOnce(rules + "root ::= until-1 tool-calls\n", "") == rules + "root ::= tool-calls\n");
  CHECK(CallAtOnce(rules + "root ::= until-1? tool-calls", "") == rules + "root ::= tool-calls");
}

TEST_CASE("optional reasoning is left out when its mark is given") {
  const std::string thought = "(\"<think>\" \"\\n\"? until-13 \"</think>\")?";
  const std::string grammar = "root ::= space " + thought + " until-7? tool-calls\n";
  CHECK(CallAtOnce(grammar, "") == "root ::= space " + thought + " tool-calls\n");
  CHECK(CallAtOnce(grammar, "<think>") == "root ::= space tool-calls\n");
  CHECK(CallAtOnce(grammar, "<reason>") == "root ::= space " + thought + " tool-calls\n");
}

TEST_CASE("what only looks like free text stays") {
  for (const std::string grammar : {
           "root ::= \"until-1? x\" tool-calls\n",
           "root ::= [ until-1? ] tool-calls\n",
           "root ::= (until-1? tool-calls)\n",
           "root ::= until-01-name tool-calls\n",
           "root ::= \"a\\\"until-1? \" tool-calls\n",
           "root ::= until-1? | tool-calls\n",
           "other ::= until-1? tool-calls\n",
           "",
       }) {
    CHECK(CallAtOnce(grammar, "<think>") == grammar);
  }
}

TEST_CASE("a row of calls becomes one call") {
  CHECK(SingleCall("root ::= tool-calls\ntool-calls ::= (tool-call space)+\nx ::= \"y\"+\n") ==
        "root ::= tool-calls\ntool-calls ::= (tool-call space)\nx ::= \"y\"+\n");
  CHECK(SingleCall("root ::= tools\ntools ::= (tool-a | tool-b)+\n") ==
        "root ::= tools\ntools ::= (tool-a | tool-b)\n");
  CHECK(SingleCall("k ::= (tool-a)+ \"<|close|>tools<|sep|>\"") ==
        "k ::= (tool-a) \"<|close|>tools<|sep|>\"");
  for (const std::string grammar : {
           "root ::= tool-calls\ntool-calls ::= tool-call space\n",
           "root ::= tool-calls\ntool-calls ::= (a)+ (b)+\n",
           "root ::= tool-calls\ntool-calls ::= (\"a\")\n",
           "root ::= (tool-call)+\n",
           "",
       }) {
    CHECK(SingleCall(grammar) == grammar);
  }
}

TEST_CASE("ids of calls are nine letters and digits") {
  CHECK(WithCallIds("x ::= \"a\" (\"[CALL_ID]\" until-5)? \"[ARGS]\"\ny ::= \"b\"") ==
        "x ::= \"a\" \"[CALL_ID]\" [0-9A-Za-z]{9} \"[ARGS]\"\ny ::= \"b\"");
  CHECK(WithCallIds("x ::= \"[CALL_ID]\" id") == "x ::= \"[CALL_ID]\" id");
}

TEST_CASE("exponents of numbers are short") {
  const std::string mantissa = "number ::= (\"-\"? integral-part) (\".\" decimal-part)? ";
  const std::string exponent = "([eE] [-+]? integral-part)?";
  const std::string finite = "([eE] [-+]? [0-9] [0-9]?)?";
  CHECK(FiniteNumbers(mantissa + exponent + "\nroot ::= number\n") ==
        mantissa + finite + "\nroot ::= number\n");
  CHECK(FiniteNumbers(mantissa + exponent + "\nb-" + mantissa + exponent + "\n") ==
        mantissa + finite + "\nb-" + mantissa + finite + "\n");
  for (const std::string& other : {exponent, mantissa, mantissa + "x", std::string()}) {
    CHECK(FiniteNumbers(other) == other);
  }
}

TEST_CASE("a reply of either grammar") {
  CHECK(EitherGrammar("root ::= a \"b\"\na ::= [c]\n",
                      "root ::= a-1 | \"root\"\na-1 ::= . {2,3}\n") ==
        "root ::= one-root | other-root\n"
        "one-root ::= one-a \"b\"\none-a ::= [c]\n\n"
        "other-root ::= other-a-1 | \"root\"\nother-a-1 ::= . {2,3}\n");
}

TEST_CASE("literals, classes, tokens, counts and comments keep their words") {
  for (const std::string other : {
           "\"a\\\"b\"",
           "[a\\]b]",
           "<think>",
           "<[12]>",
           "{1,20}",
           "# a b\n",
           "\"open",
           "[open",
           "\"end\\",
       }) {
    CHECK(EitherGrammar("x ::= " + other, "") ==
          "root ::= one-root | other-root\none-x ::= " + other + "\n");
  }
}

TEST_CASE("a fence around JSON is left out") {
  const std::string json = "space response-format space)\n";
  CHECK(WithoutFence("root ::= (\"```json\" space response-format space \"```\" | " + json) ==
        "root ::= (" + json);
  const std::string wanted = "x\nresponse-format ::= \"```json\" space schema space \"```\"\n";
  CHECK(WithoutFence(wanted) == "x\nresponse-format ::= schema\n");
  CHECK(WithoutFence("root ::= a \"```json\" space b space \"```\"\n") == "root ::= a b\n");
  CHECK(WithoutFence("root ::= (" + json) == "root ::= (" + json);
}
