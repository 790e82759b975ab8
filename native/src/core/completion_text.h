// The text of one completion as it grows: token bytes in, text that may be shown out.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/stop_matcher.h"
#include "core/utf8_stream.h"

class CompletionText {
 public:
  // Stop strings are part of the text if it `shows_stops`.
  explicit CompletionText(std::vector<std::string> stops, bool shows_stops = false)
      : stops_(std::move(stops), shows_stops) {}

  // Appends the bytes of one token. Stop strings that it completes are ordinary text unless it
  // `may_stop`.
  StopMatcher::Result Push(std::string_view bytes, bool may_stop = true) {
    const std::string text = characters_.Push(bytes);
    n_characters_ += CountCharacters(text);
    return stops_.Push(text, may_stop);
  }

  // The completion ended without a stop string: returns the text that was held back.
  std::string Finish() {
    const StopMatcher::Result last = stops_.Push(characters_.Finish());
    return last.stopped ? last.text : last.text + stops_.Finish();
  }

  // Characters that are complete by now, shown or held back.
  int32_t n_characters() const { return n_characters_; }

 private:
  Utf8Stream characters_;
  StopMatcher stops_;
  int32_t n_characters_ = 0;
};
