#include "core/stop_matcher.h"

#include <doctest.h>

#include <random>
#include <string>
#include <vector>

namespace {

struct Outcome {
  std::string text;
  bool stopped = false;
};

// The text fed in pieces of `n` bytes; what is shown must at no time be more than the final text.
Outcome Feed(const std::vector<std::string>& stops, const std::string& text, size_t n) {
  StopMatcher matcher(stops);
  Outcome outcome;
  for (size_t at = 0; at < text.size() && !outcome.stopped; at += n) {
    const auto result = matcher.Push(text.substr(at, n));
    outcome.text += result.text;
    outcome.stopped = result.stopped;
  }
  if (!outcome.stopped) outcome.text += matcher.Finish();
  return outcome;
}

// By definition: the shortest prefix of the text that ends with a stop string, less the longest
// such.
Outcome Reference(const std::vector<std::string>& stops, const std::string& text) {
  for (size_t end = 1; end <= text.size(); ++end) {
    size_t longest = 0;
    for (const auto& stop : stops) {
      if (!stop.empty() && end >= stop.size() &&
          text.compare(end - stop.size(), stop.size(), stop) == 0) {
        longest = std::max(longest, stop.size());
      }
    }
    if (longest > 0) return {text.substr(0, end - longest), true};
  }
  return {text, false};
}

}  // namespace

TEST_CASE("without stop strings nothing is held back") {
  StopMatcher matcher({"", ""});
  const auto result = matcher.Push("anything");
  CHECK(result.text == "anything");
  CHECK_FALSE(result.stopped);
}

TEST_CASE("text that may become a stop string is held back until it cannot") {
  StopMatcher matcher({"END"});
  CHECK(matcher.Push("the E").text == "the ");
  CHECK(matcher.Push("N").text == "");
  CHECK(matcher.Push("emy").text == "ENemy");
  CHECK(matcher.Push("E").text == "");
  CHECK(matcher.Push("ND and more").stopped);
}

TEST_CASE("at the end of the text the held part is released") {
  StopMatcher matcher({"</s>"});
  CHECK(matcher.Push("text </").text == "text ");
  CHECK(matcher.Finish() == "</");
  CHECK(matcher.Finish() == "");
}

TEST_CASE("the string that completes first wins, of several the longest") {
  CHECK(Feed({"abc", "b"}, "xabc", 4).text == "xa");
  CHECK(Feed({"bc", "abc"}, "xabc", 4).text == "x");
  CHECK(Feed({"aab"}, "aaab", 1).text == "a");
}

TEST_CASE("random texts and cuts agree with the definition") {
  std::mt19937 random(7);
  const auto word = [&](size_t longest) {
    std::string result(1 + random() % longest, ' ');
    for (char& letter : result) letter = static_cast<char>('a' + random() % 2);
    return result;
  };
  for (int round = 0; round < 3000; ++round) {
    std::vector<std::string> stops(1 + random() % 3);
    for (auto& stop : stops) stop = word(5);
    const std::string text = word(30);
    const Outcome expected = Reference(stops, text);
    for (const size_t n : {size_t{1}, size_t{2}, size_t{5}, text.size()}) {
      const Outcome actual = Feed(stops, text, n);
      REQUIRE(actual.text == expected.text);
      REQUIRE(actual.stopped == expected.stopped);
    }
  }
}

TEST_CASE("a matcher that shows stop strings ends behind them and names them") {
  StopMatcher matcher({"END", "D!"}, /*shows_stops=*/true);
  CHECK(matcher.Push("the E").text == "the ");
  const StopMatcher::Result last = matcher.Push("ND! and more");
  CHECK(last.stopped);
  CHECK(last.text == "END");
  CHECK(last.stop == "END");
}

TEST_CASE("a stop string that completes too early is text, and the next may begin within it") {
  StopMatcher matcher({"aba"});
  CHECK(matcher.Push("xaba", /*may_stop=*/false).text == "xab");
  const StopMatcher::Result last = matcher.Push("bab");
  CHECK(last.stopped);
  CHECK(last.text == "");
  CHECK(last.stop == "aba");
  StopMatcher later({"END"});
  CHECK(later.Push("END", /*may_stop=*/false).text == "END");
  CHECK(later.Push(" END").text == " ");
}
