// JavaScript objects to the engine's structs. TypeScript has validated the values; a wrong type
// here is a defect of the program and throws a TypeError that names the option.
#pragma once

#include <napi.h>

#include <string>
#include <vector>

#include "engine/embedder.h"
#include "engine/engine.h"
#include "llama/infill.h"

// Reads the options that EngineOptions::VisitOptions names; other properties have no effect.
EngineOptions EngineOptionsFrom(const Napi::Object& options);

// The names of all options of an engine.
std::vector<std::string> EngineOptionNames();

// Reads the options that EmbedderOptions::VisitOptions names.
EmbedderOptions EmbedderOptionsFrom(const Napi::Object& options);

// Reads the parts of a prompt with a gap.
InfillText InfillTextFrom(const Napi::Object& parts);
