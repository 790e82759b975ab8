// Strings that stand in a reply as they are, between tags, instead of as JSON. Text only: includes
// neither a schema nor llama.cpp.
//
// The pattern is parsed a second time here, after src/grammar/pattern.ts. The two parsers read
// different languages: TypeScript reads any regular expression, once, and writes the small form
// that llama.cpp's converter needs inside the JSON schema. Raw strings need the same classes
// without JSON escapes and without the first character of the closing mark, which only llama.cpp's
// generated grammar names. A second form in the schema would have to reach C++ through the tool
// parameters, which are compared with the shown ones and rendered in prompts.
#pragma once

#include <string>
#include <string_view>

#include "grammar/grammar_rules.h"

// The GBNF expression of raw strings for `pattern`, a regular expression about strings as JSON
// holds them, in the form that src/grammar/pattern.ts writes: anchored, of groups, alternatives,
// counts and character classes, with escapes of JSON as two classes. A class of several characters
// leaves out the one that `closing` begins with, so that a string does not end before its closing
// mark; a pattern that spells out that mark still may. Adds rules for repeated groups.
// Throws std::invalid_argument for a pattern of another form.
std::string RawStringRule(std::string_view pattern, std::string_view closing, GrammarRules* rules);

// The GBNF expression of any text of at least `min` characters that does not contain `mark`, and
// may stand before it. Leaves out some texts with more than one beginning of the mark in a row.
std::string TextWithout(std::string_view mark, size_t min);

// The closing mark up to which the rule `name` allows any text, mark included: one of llama.cpp's
// automata, such as `ac-12`. Empty where it is something else.
std::string ClosingMark(const GrammarRules& rules, const std::string& name);
