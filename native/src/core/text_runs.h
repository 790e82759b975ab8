// How long a piece of text a tokenizer's regular expression may match at once.
#pragma once

#include <cstddef>
#include <string_view>

// Characters in the longest run of `text` that one alternative of a pre-tokenizer may match at
// once: letters, digits, white space or anything else. Characters above ASCII may belong to any of
// these, so the result may be too high there, never too low. `text` is UTF-8.
size_t MaxRun(std::string_view text);
