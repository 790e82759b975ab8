#include "node/js_options.h"

#include "node/option_reader.h"

EmbedderOptions EmbedderOptionsFrom(const Napi::Object& options) {
  EmbedderOptions result;
  result.VisitOptions(OptionReader(options));
  return result;
}

EngineOptions EngineOptionsFrom(const Napi::Object& options) {
  EngineOptions result;
  result.VisitOptions(OptionReader(options));
  return result;
}

std::vector<std::string> EngineOptionNames() {
  std::vector<std::string> names;
  EngineOptions().VisitOptions([&](const char* name, auto*) { names.emplace_back(name); });
  return names;
}
