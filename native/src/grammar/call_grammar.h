// Makes a grammar of llama.cpp's chat formats stricter: they let the model write before it calls,
// and write numbers no reader can hold. Joins two where a reply may follow either.
#pragma once

#include <string>

// `grammar` (GBNF) without the free text that its root allows beside the calls, so that a reply
// which has to call does. With `thinking_mark` (such as `<think>`), also without the optional
// reasoning that begins with it. A root of another form is left as it is.
std::string CallAtOnce(const std::string& grammar, const std::string& thinking_mark);

// `grammar` with one call where its rule `tool-calls` or `tools` allows a row of them. A rule of
// another form is left as it is.
std::string SingleCall(const std::string& grammar);

// `grammar` with ids as models of Mistral's write them before their calls' arguments, where it
// allows any text, or none.
std::string WithCallIds(const std::string& grammar);

// The grammar of a reply that follows either: both stand in it under other names.
std::string EitherGrammar(const std::string& one, const std::string& other);

// `grammar` without the Markdown fence that it allows, or wants, around JSON.
std::string WithoutFence(const std::string& grammar);

// `grammar` with at most two digits in the exponent of a JSON number, which is then finite.
std::string FiniteNumbers(const std::string& grammar);
