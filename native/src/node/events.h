// Events as JavaScript receives them: an array of alternating ids (0 for events of no request) and
// payloads. src/engine/addon.ts declares the payloads. JavaScript thread.
#pragma once

#include <napi.h>

#include <vector>

#include "engine/embed_messages.h"
#include "engine/messages.h"

Napi::Array EventsToJs(Napi::Env env, const std::vector<EngineEvent>& events);
Napi::Array EventsToJs(Napi::Env env, const std::vector<EmbedEvent>& events);
