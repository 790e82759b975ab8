#include "core/completion_text.h"

#include <doctest.h>

TEST_CASE("stop strings match over characters that arrive byte by byte") {
  CompletionText text({"→停"});
  std::string shown;
  bool stopped = false;
  for (const char byte : std::string("go →→停 no")) {
    const auto result = text.Push(std::string_view(&byte, 1));
    shown += result.text;
    if ((stopped = result.stopped)) break;
  }
  CHECK(stopped);
  CHECK(shown == "go →");
}

TEST_CASE("the end releases held text and marks a cut character") {
  CompletionText text({"END"});
  CHECK(text.Push("so EN\xE6\xBC").text == "so ");
  CHECK(text.Finish() == "EN\xEF\xBF\xBD");
}
