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
  explicit CompletionText(std::vector<std::string> stops) : stops_(std::move(stops)) {}

  // Appends the bytes of one token.
  StopMatcher::Result Push(std::string_view bytes) {
    const std::string text = characters_.Push(bytes);
    n_characters_ += CountCharacters(text);
    return stops_.Push(text);
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
