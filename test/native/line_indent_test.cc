#include "core/line_indent.h"

#include <doctest.h>

#include <string>

namespace {

// What stays of the text, fed in pieces of `n` bytes.
std::string Kept(int32_t n_min, const std::string& text, size_t n) {
  LineIndent indent(n_min);
  std::string kept;
  for (size_t at = 0; at < text.size(); at += n) {
    const std::string piece = text.substr(at, n);
    const size_t length = indent.Push(piece);
    kept += piece.substr(0, length);
    if (length < piece.size()) break;
  }
  return kept;
}

}  // namespace

TEST_CASE("a line that is indented less ends the text, whatever the pieces") {
  for (const size_t n : {1, 2, 3, 100}) {
    CHECK(Kept(2, "a\n  b\n c", n) == "a\n  b\n ");
    CHECK(Kept(2, "a\n\t\tb\n   c\nd", n) == "a\n\t\tb\n   c\n");
    CHECK(Kept(2, "a\n  b\n\n  c", n) == "a\n  b\n");
  }
}

TEST_CASE("the first line may begin anywhere, and without a minimum every line may") {
  CHECK(Kept(4, "a b", 1) == "a b");
  CHECK(Kept(4, "a\n  ", 1) == "a\n  ");
  CHECK(Kept(0, "a\nb\n\nc", 2) == "a\nb\n\nc");
}
