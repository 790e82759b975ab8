// What a chat template can do, found by rendering samples with it: llama.cpp has no other way to
// ask.
#pragma once

#include <common/chat.h>

#include <optional>
#include <string>
#include <string_view>

// Throws std::runtime_error with the reason when the template to use does not parse.
// common_chat_templates_init does not report the reason.
void CheckTemplate(const llama_model* model, const std::string& template_override);

// The mark that begins reasoning in replies, without blanks around it. None where the template has
// no place for reasoning.
std::optional<std::string> ProbeThinkingMark(const common_chat_templates* templates);

// True if the template of `source` makes the model reason by default. llama.cpp always sets
// `enable_thinking`. Where it is undefined, some templates enable reasoning (Qwen3's) and some do
// not. True where the difference cannot be seen.
bool ThinksByDefault(const std::string& source);

// True if llama.cpp has code of its own for the template of `source`. It renders all others without
// changes to the messages, and finds out how their replies look by an analysis that takes long.
bool HasOwnCode(const std::string& source);

// `inputs` rendered as text alone, without an analysis of how replies look.
common_chat_params ApplyPlainly(const common_chat_templates* templates,
                                common_chat_templates_inputs inputs);

// True if plain chats of a template without reasoning can be rendered by ApplyPlainly: the analysis
// takes most of the time and finds nothing that they need.
bool RendersPlainly(const common_chat_templates* templates);

// The only value that the argument of the probe's call may have.
inline constexpr std::string_view kProbeValue = "sample-value";

// The grammar of a required call of a probe tool. Empty where llama.cpp cannot see how calls are
// written: some templates render tools, but no call of the history. None where the template refuses
// the request.
std::optional<std::string> ProbeCallGrammar(const common_chat_templates* templates);
