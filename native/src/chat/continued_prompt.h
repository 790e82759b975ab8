// The prompt of a chat whose last message, one of the assistant, is continued.
#pragma once

#include <common/chat.h>

#include <functional>
#include <optional>
#include <string>

// `inputs` with the last message in the words of the template, up to the end of its content. Only
// the template knows what stands before a reply: a channel, an empty thought, a header that differs
// from the one of a new reply. None where the message has no content, or where the template does
// not show it, or not its reasoning. `render` renders inputs as text and may throw.
std::optional<std::string> ContinuedPrompt(
    const common_chat_templates_inputs& inputs,
    const std::function<std::string(const common_chat_templates_inputs&)>& render);
