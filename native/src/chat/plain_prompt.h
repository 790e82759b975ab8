// Prompts without a chat.
#pragma once

#include <string>
#include <vector>

#include "chat/prompt.h"

// What a completion starts from. `format` is empty, or a JSON object with what the completion must
// follow: a GBNF `grammar` or `contentGrammar`, which are the same here, or a `jsonSchema`. Throws
// std::exception for a prompt without tokens.
Prompt PlainPrompt(std::vector<llama_token> tokens, const std::string& format);
