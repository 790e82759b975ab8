#include "node/request_options.h"

#include <optional>
#include <utility>

#include "node/option_reader.h"
#include "node/sampling_params.h"
#include "node/token_calls.h"

namespace {

std::optional<LogprobOptions> LogprobOptionsFrom(const Napi::Value& value) {
  if (value.IsUndefined()) return std::nullopt;
  LogprobOptions logprobs;
  const OptionReader read(value.As<Napi::Object>());
  read("topCount", &logprobs.n_top);
  read("prompt", &logprobs.prompt);
  return logprobs;
}

TokenRuleOptions TokenRulesFrom(const Napi::Value& value) {
  TokenRuleOptions rules;
  if (value.IsUndefined()) return rules;
  const auto object = value.As<Napi::Object>();
  const OptionReader read(object);
  read("minTokens", &rules.min_tokens);
  const auto tokens = [&](const char* name) -> std::vector<llama_token> {
    const Napi::Value array = object.Get(name);
    if (array.IsUndefined()) return {};
    return TokensFrom(array.As<Napi::Int32Array>());
  };
  rules.stop_tokens = tokens("stopTokens");
  rules.allowed_tokens = tokens("allowedTokens");
  const Napi::Value words = object.Get("badWords");
  if (words.IsUndefined()) return rules;
  const auto array = words.As<Napi::Array>();
  for (uint32_t i = 0; i < array.Length(); ++i) {
    rules.bad_words.push_back(TokensFrom(array.Get(i).As<Napi::Int32Array>()));
  }
  return rules;
}

}  // namespace

Submit SubmitFrom(RequestId id, std::shared_ptr<const Prompt> prompt, const Napi::Object& request) {
  Submit submit;
  submit.id = id;
  const OptionReader read(request);
  read("maxTokens", &submit.max_tokens);
  read("maxDecodeMs", &submit.max_decode_ms);
  read("minIndent", &submit.min_indent);
  read("stops", &submit.stops);
  read("showStops", &submit.show_stops);
  read("showControl", &submit.show_control);
  read("reportTokens", &submit.report_tokens);
  read("reportProgress", &submit.report_progress);
  submit.cache_scope = request.Get("cacheScope").As<Napi::String>().Utf8Value();
  submit.sampling = SamplingFrom(request.Get("sampling").As<Napi::Object>());
  prompt->Constrain(&submit.sampling);
  submit.token_rules = TokenRulesFrom(request.Get("tokenRules"));
  submit.logprobs = LogprobOptionsFrom(request.Get("logprobs"));
  submit.prompt = std::move(prompt);
  submit.submitted_at = Clock::now();
  return submit;
}
