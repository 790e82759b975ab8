#include "core/utf8_stream.h"

#include <doctest.h>

#include <string>

namespace {

const std::string kReplacement = "\xEF\xBF\xBD";

// The whole text, fed in pieces of `n` bytes.
std::string Feed(const std::string& bytes, size_t n) {
  Utf8Stream stream;
  std::string text;
  for (size_t at = 0; at < bytes.size(); at += n) text += stream.Push(bytes.substr(at, n));
  return text + stream.Finish();
}

}  // namespace

TEST_CASE("valid text passes unchanged, however it is cut") {
  const std::string text = "plain, grüße, 漢字, 👩‍🚀, \xF4\x8F\xBF\xBF, \xED\x9F\xBF";
  for (size_t n = 1; n <= text.size(); ++n) CHECK(Feed(text, n) == text);
}

TEST_CASE("a character is shown only once it is complete") {
  Utf8Stream stream;
  CHECK(stream.Push("a\xF0\x9F") == "a");
  CHECK(stream.Push("\x98") == "");
  CHECK(stream.Push("\x80"
                    "b") == "😀b");
  CHECK(stream.Finish() == "");
}

TEST_CASE("what can never be a character is replaced, one mark for each maximal part") {
  struct Row {
    const char* name;
    std::string bytes;
    std::string expected;
  };
  const std::string r = kReplacement;
  const Row rows[] = {
      {"lone continuation", "a\x80z", "a" + r + "z"},
      {"two continuations", "\x80\xBF", r + r},
      {"never a lead", "\xC0\xAF\xFF", r + r + r},
      {"overlong three", "\xE0\x80\x80", r + r + r},
      {"surrogate", "\xED\xA0\x80", r + r + r},
      {"above U+10FFFF", "\xF4\x90\x80\x80", r + r + r + r},
      {"cut by ascii",
       "\xE6\xBC"
       "a",
       r + "a"},
      {"cut by another lead", "\xF0\x9F\xE6\xBC\xA2", r + "漢"},
      {"cut by the end", "ok\xF0\x9F\x98", "ok" + r},
  };
  for (const Row& row : rows) {
    for (size_t n = 1; n <= row.bytes.size(); ++n) {
      CAPTURE(row.name);
      CAPTURE(n);
      CHECK(Feed(row.bytes, n) == row.expected);
    }
  }
}
