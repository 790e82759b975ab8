#include "node/stats_js.h"

namespace {

template <class Number>
Napi::Value ToJs(Napi::Env env, Number value) {
  return Napi::Number::New(env, static_cast<double>(value));
}

Napi::Value ToJs(Napi::Env env, const std::vector<uint64_t>& values) {
  Napi::Array result = Napi::Array::New(env, values.size());
  for (uint32_t i = 0; i < values.size(); ++i) result.Set(i, static_cast<double>(values[i]));
  return result;
}

Napi::Object ToJs(Napi::Env env, const Statistic& statistic) {
  Napi::Object result = Napi::Object::New(env);
  result.Set("name", statistic.name);
  result.Set("kind", statistic.kind == Statistic::Kind::kGauge ? "gauge" : "counter");
  result.Set("unit", statistic.unit == Statistic::Unit::kMilliseconds ? "milliseconds" : "count");
  if (statistic.series != nullptr) result.Set("series", statistic.series);
  if (statistic.label != nullptr) result.Set("label", statistic.label);
  result.Set("help", statistic.help);
  return result;
}

}  // namespace

Napi::Object StatsToJs(Napi::Env env, const EngineStats& stats) {
  Napi::Object result = Napi::Object::New(env);
  stats.VisitStatistics([&](const Statistic& statistic, const auto& value) {
    result.Set(statistic.name, ToJs(env, value));
  });
  return result;
}

Napi::Array StatisticsToJs(Napi::Env env) {
  Napi::Array result = Napi::Array::New(env);
  EngineStats().VisitStatistics([&](const Statistic& statistic, const auto&) {
    result.Set(result.Length(), ToJs(env, statistic));
  });
  return result;
}
