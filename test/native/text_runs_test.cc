#include "core/text_runs.h"

#include <doctest.h>

#include <string>

TEST_CASE("a run is a stretch of one kind of character") {
  CHECK(LongestRun("") == 0);
  CHECK(LongestRun("abc 12345 de") == 5);
  CHECK(LongestRun("a1a1a1") == 1);
  CHECK(LongestRun("x" + std::string(100, ' ') + "y") == 100);
  CHECK(LongestRun("!?!? ok") == 4);
}

TEST_CASE("characters above ASCII lengthen whatever run they stand in") {
  CHECK(LongestRun("größe") == 5);
  CHECK(LongestRun("漢字漢字") == 4);
  CHECK(LongestRun("ab漢!!") == 3);
  CHECK(LongestRun("12\xE2\x80\x93"
                   "34") == 5);
}
