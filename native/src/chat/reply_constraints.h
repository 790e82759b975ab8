// How a reply must look and how it is parsed: the format, the grammar and the limit on reasoning
// that a rendered chat asks for.
#pragma once

#include <common/chat.h>

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "chat/prompt.h"

class Model;

// The grammar of a rendered chat, as strict as `inputs` ask for.
std::string ReplyGrammar(const common_chat_params& rendered,
                         const common_chat_templates_inputs& inputs);

// Removes the blank that some vocabularies put before the first token of `text`.
void DropAddedBlank(const Model& model, std::string_view text, std::vector<llama_token>* tokens);

// Of `headers`, in their order, the first one with which the grammar of `rendered` can begin. None
// where there is no such header.
std::optional<std::string> FittingHeader(const Model& model, const common_chat_params& rendered,
                                         const common_chat_templates_inputs& inputs,
                                         const std::vector<std::string>& headers);

// Sets how to parse the reply. `tool_names` has the client's names of tools by those of the reply,
// where they differ.
void SetFormat(const Model& model, const common_chat_params& rendered,
               const common_chat_templates_inputs& inputs,
               const std::map<std::string, std::string>& tool_names, Prompt* prompt);

// Sets the grammar and what triggers it.
void SetGrammar(const Model& model, const common_chat_params& rendered,
                const common_chat_templates_inputs& inputs, common_params_sampling* constraints);

// Sets the limit on the reasoning in tokens, -1 for none. Requires the grammar.
void SetReasoning(const Model& model, const common_chat_params& rendered, int32_t budget,
                  common_params_sampling* constraints);
