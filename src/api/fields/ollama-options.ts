/** Ollama's `options`: fields of a completion in an object of their own, as clients that speak to both kinds send them. */
import { type Static, Type } from 'typebox';
import { optional } from './optional.ts';
import { samplingFields } from './sampling.ts';
import { stopFields } from './stops.ts';
import { tokenLimitFields } from './token-limit.ts';

/** The options that have a meaning here; others are of Ollama's own runner. */
export const ollamaOptions = {
  temperature: samplingFields.temperature,
  top_k: samplingFields.top_k,
  top_p: samplingFields.top_p,
  min_p: samplingFields.min_p,
  typical_p: samplingFields.typical_p,
  repeat_last_n: samplingFields.repeat_last_n,
  repeat_penalty: samplingFields.repeat_penalty,
  presence_penalty: samplingFields.presence_penalty,
  frequency_penalty: samplingFields.frequency_penalty,
  mirostat: samplingFields.mirostat,
  mirostat_tau: samplingFields.mirostat_tau,
  mirostat_eta: samplingFields.mirostat_eta,
  seed: samplingFields.seed,
  stop: stopFields.stop,
  num_predict: tokenLimitFields.num_predict,
};

const OllamaOptions = Type.Object(ollamaOptions);

export const optionsField = { options: optional(OllamaOptions) };

const OptionsRequest = Type.Object(optionsField);

/** The body with its options as fields of its own; a field of the body overrides the option of its name. */
export function withOptions<Body extends Static<typeof OptionsRequest>>(body: Body): Body {
  if (body.options == null) return body;
  const own = Object.entries(body).filter(([, value]) => value !== null);
  const options = Object.entries(body.options).filter(([name]) =>
    Object.hasOwn(ollamaOptions, name),
  );
  return Object.fromEntries([...options, ...own]) as Body;
}
