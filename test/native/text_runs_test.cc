#include "core/text_runs.h"

#include <doctest.h>

#include <string>

TEST_CASE("a run is a stretch of one kind of character") {
  CHECK(MaxRun("") == 0);
  CHECK(MaxRun("abc 12345 de") == 5);
  CHECK(MaxRun("a1a1a1") == 1);
  CHECK(MaxRun("x" + std::string(100, ' ') + "y") == 100);
  CHECK(MaxRun("!?!? ok") == 4);
}

TEST_CASE("characters above ASCII lengthen whatever run they stand in") {
  CHECK(MaxRun("größe") == 5);
  CHECK(MaxRun("漢字漢字") == 4);
  CHECK(MaxRun("ab漢!!") == 3);
  CHECK(MaxRun("12\xE2\x80\x93"
               "34") == 5);
}
