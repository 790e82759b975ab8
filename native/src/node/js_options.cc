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

InfillText InfillTextFrom(const Napi::Object& parts) {
  InfillText text;
  const OptionReader read(parts);
  read("prefix", &text.prefix);
  read("suffix", &text.suffix);
  read("prompt", &text.prompt);
  read("maxTokenCount", &text.max_tokens);
  const Napi::Value extra = parts.Get("extra");
  if (extra.IsUndefined()) return text;
  const auto chunks = extra.As<Napi::Array>();
  text.extra.emplace();
  for (uint32_t i = 0; i < chunks.Length(); ++i) {
    InfillText::Chunk chunk;
    const OptionReader read_chunk(chunks.Get(i).As<Napi::Object>());
    read_chunk("filename", &chunk.filename);
    read_chunk("text", &chunk.text);
    text.extra->push_back(std::move(chunk));
  }
  return text;
}
