// Forms in which models of some families write calls and of which llama.cpp's grammars enforce
// nothing but the tool's name: our own grammar for a call in such a form.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "grammar/grammar_rules.h"
#include "grammar/optional_row.h"
#include "grammar/tool_schema.h"

struct CallForm;

// The form of the calls of `grammar`, one of llama.cpp's; null for any other.
const CallForm* FindCallForm(std::string_view grammar);

// Replaces the rule for calls of the tool `name` by one with so many of these arguments, whose
// schemas belong to `schema`.
void SetCallRule(const CallForm& form, const std::string& name,
                 const std::vector<Argument>& arguments, ItemCounts counts,
                 const ToolSchema& schema, GrammarRules* rules);
