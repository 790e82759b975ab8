#include "core/trigger_finder.h"

#include <doctest.h>

#include <string>

TEST_CASE("a word is found across pieces, and with text around it") {
  TriggerFinder finder({"<tool_call>"}, {});
  CHECK_FALSE(finder.Push("Let me see. <tool"));
  CHECK_FALSE(finder.Push("_"));
  CHECK(finder.Push("call>{"));
  finder.Clear();
  CHECK_FALSE(finder.Push("call>"));
}

TEST_CASE("a pattern is searched at the end of a long text") {
  TriggerFinder finder({}, {R"(<\|start\|>assistant(\s+to))"});
  for (int i = 0; i < 2000; ++i) REQUIRE_FALSE(finder.Push(" word <|start|>assistan "));
  CHECK_FALSE(finder.Push("<|start|>assistant "));
  CHECK(finder.Push(" to"));
}

TEST_CASE("a pattern of the whole text is tried while it is short") {
  TriggerFinder finder({}, {R"(^\s+to$)"});
  CHECK_FALSE(finder.Push(" "));
  CHECK(finder.Push("to"));
  finder.Clear();
  CHECK_FALSE(finder.Push("x"));
  CHECK_FALSE(finder.Push(" to"));
  finder.Clear();
  // As many blanks as would overflow the stack of a search of all of the text.
  for (int i = 0; i < 1000; ++i) REQUIRE_FALSE(finder.Push(std::string(100, ' ')));
  CHECK_FALSE(finder.Push("to"));
}

TEST_CASE("without triggers nothing is found") { CHECK_FALSE(TriggerFinder().Push("anything")); }
