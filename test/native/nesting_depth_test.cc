#include "core/nesting_depth.h"

#include <doctest.h>

TEST_CASE("the depth of a text is that of its brackets, across pieces") {
  NestingDepth depth;
  CHECK(depth.deepest() == 0);
  depth.Push("{\"a\": [1, 2], \"b\": [");
  CHECK(depth.deepest() == 2);
  depth.Push("[");
  CHECK(depth.deepest() == 3);
  depth.Push("]]}");
  depth.Push("[]");
  CHECK(depth.deepest() == 3);
}

TEST_CASE("brackets that close nothing do not count") {
  NestingDepth depth;
  depth.Push(":-] ]]] [");
  CHECK(depth.deepest() == 1);
}
