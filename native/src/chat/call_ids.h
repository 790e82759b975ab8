// Ids of calls for templates that accept no others than nine letters and digits.
#pragma once

#include <common/chat.h>

#include <vector>

// True if `id` consists of nine letters and digits.
bool IsShortId(const std::string& id);

// Replaces every other id in `messages` by a short one, the same for a call and its results. An id
// gets the same short id in every conversation that begins like this one, so that cached prefixes
// stay valid. No two ids get the same.
void ShortenIds(std::vector<common_chat_msg>* messages);
