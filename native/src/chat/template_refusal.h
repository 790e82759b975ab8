// What a chat template, or llama.cpp's Jinja engine, says against the messages of a request.
#pragma once

#include <exception>
#include <string>

// True if `error` is one of rendering a template.
bool IsTemplateError(const std::exception& error);

// One sentence for the client from an error of rendering: the template's own words where it speaks
// (`raise_exception`), else the reason alone. Never source text of the template.
std::string TemplateRefusal(const std::exception& error);
