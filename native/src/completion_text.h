// The text of one completion as it grows: token bytes in, text that may be shown out.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "stop_matcher.h"
#include "utf8_stream.h"

class CompletionText {
 public:
  explicit CompletionText(std::vector<std::string> stops) : stops_(std::move(stops)) {}

  // Appends the bytes of one token.
  StopMatcher::Result Push(std::string_view bytes) { return stops_.Push(characters_.Push(bytes)); }

  // The completion ended without a stop string: whatever was held back.
  std::string Finish() {
    const StopMatcher::Result last = stops_.Push(characters_.Finish());
    return last.stopped ? last.text : last.text + stops_.Finish();
  }

 private:
  Utf8Stream characters_;
  StopMatcher stops_;
};
