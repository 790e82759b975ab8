// Stop strings over a stream of text. Text that could still become a stop string is held back, so
// that no part of one is ever shown.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

class StopMatcher {
 public:
  struct Result {
    // Text that is certain not to belong to a stop string.
    std::string text;
    // A stop string is complete; `text` ends where it began, or behind it where the matcher shows
    // stop strings. Nothing may be pushed any more.
    bool stopped = false;
    // The stop string; empty without one.
    std::string stop = {};
  };

  // Empty strings are ignored. A stop string is part of the text if the matcher `shows_stops`.
  explicit StopMatcher(std::vector<std::string> stops, bool shows_stops = false);

  // Appends `text`. The stop string that completes first ends the text, whatever the chunks it came
  // in; of several that complete at the same byte, the longest. Linear in `text` for each string.
  // Stop strings that complete within `text` are ordinary text unless it `may_stop`.
  Result Push(std::string_view text, bool may_stop = true);

  // The end of the text: what was held back is released.
  std::string Finish();

 private:
  // One stop string as a Knuth-Morris-Pratt automaton.
  struct Pattern {
    std::string text;
    // fallback[i]: length of the longest proper prefix that is also a suffix of the first i bytes.
    std::vector<size_t> fallback;
    // Bytes of the pattern that the stream's end matches now.
    size_t matched = 0;

    explicit Pattern(std::string pattern_text);
    // Feeds one byte; true when the pattern is complete.
    bool Feed(char byte);
    // A complete pattern did not count: the next match may begin within it.
    void GoOn() { matched = fallback[matched]; }
  };

  std::vector<Pattern> patterns_;
  bool shows_stops_;
  // Text not yet released.
  std::string held_;
};
