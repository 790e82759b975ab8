// The engine's statistics as JavaScript objects.
#pragma once

#include <napi.h>

#include "engine/engine_stats.h"

// The value of each statistic by its name.
Napi::Object StatsToJs(Napi::Env env, const EngineStats& stats);

// The list of statistics, without values.
Napi::Array StatisticsToJs(Napi::Env env);
