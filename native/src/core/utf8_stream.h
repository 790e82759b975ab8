// Token bytes to whole UTF-8 characters. A token may end inside a character; its bytes wait here
// for the next one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

// Number of characters (code points) in a text of whole characters.
int32_t CountCharacters(std::string_view text);

class Utf8Stream {
 public:
  // Appends `bytes` and returns every character that is complete by now. Bytes that can never
  // become a character are replaced by U+FFFD, one for each maximal part (Unicode 15, section 3.9).
  std::string Push(std::string_view bytes);

  // The end of the text: an unfinished character becomes U+FFFD.
  std::string Finish();

 private:
  // Start of a character that is not complete, at most 3 bytes.
  std::string pending_;
};
