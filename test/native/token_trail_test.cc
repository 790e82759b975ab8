#include "core/token_trail.h"

#include <doctest.h>

#include <string>

#include "core/completion_text.h"

namespace {

// A completion whose tokens are scored, as a sequence keeps it.
struct ScoredText {
  CompletionText text;
  TokenTrail trail = {};

  // What the next token shows, then the tokens told with it: "shown|token,token,".
  std::string Push(const std::string& bytes) {
    trail.Add({.bytes = bytes}, text.n_characters());
    return Told(text.Push(bytes).text);
  }

  std::string Told(const std::string& shown) {
    std::string told = shown + "|";
    for (const TokenLogprob& token : trail.Show(shown)) told += token.bytes + ",";
    return told;
  }
};

}  // namespace

TEST_CASE("a token comes with its text") {
  ScoredText scored{CompletionText({})};
  CHECK(scored.Push("Hel") == "Hel|Hel,");
  CHECK(scored.Push("lo") == "lo|lo,");
}

TEST_CASE("tokens inside a character come with the character") {
  ScoredText scored{CompletionText({})};
  CHECK(scored.Push("a\xF0\x9F") == "a|a\xF0\x9F,");
  CHECK(scored.Push("\x98") == "|");
  CHECK(scored.Push("\x80!") == "😀!|\x98,\x80!,");
}

TEST_CASE("a token is told how many characters stand before it, not bytes") {
  CompletionText text({});
  TokenTrail trail;
  std::vector<int32_t> starts;
  for (const std::string bytes : {"é", "\xE6\xBC", "\xA2", "x"}) {
    trail.Add({.bytes = bytes}, text.n_characters());
    for (const TokenLogprob& token : trail.Show(text.Push(bytes).text)) {
      starts.push_back(token.first_character);
    }
  }
  CHECK(starts == std::vector<int32_t>{0, 1, 1, 2});
}

TEST_CASE("tokens wait while a stop string holds them back") {
  ScoredText scored{CompletionText({"END"})};
  CHECK(scored.Push("go E") == "go |go E,");
  CHECK(scored.Push("N") == "|");
  CHECK(scored.Push("ough") == "ENough|N,ough,");
}

TEST_CASE("tokens that a stop string cut away are never told") {
  ScoredText scored{CompletionText({"END"})};
  CHECK(scored.Push("go E") == "go |go E,");
  CHECK(scored.Push("N") == "|");
  CHECK(scored.Push("D") == "|");
}

TEST_CASE("what was held back is told at the end") {
  ScoredText scored{CompletionText({"END"})};
  CHECK(scored.Push("E") == "|");
  CHECK(scored.Push("\xE6\xBC") == "|");
  CHECK(scored.Told(scored.text.Finish()) == "E\xEF\xBF\xBD|E,\xE6\xBC,");
}
