/** The maximum of completion tokens: a ceiling, under the names that clients have for it. */
import { type Static, Type } from 'typebox';
import { optional } from './optional.ts';

// −1 is llama-server's and Ollama's "no limit", −2 Ollama's "until the context is full".
const Ceiling = Type.Integer({
  minimum: -2,
  description:
    'Maximum completion tokens; more than the context has room for means until it is full. 0 computes only the prompt; -1 and -2 are as without a limit.',
});

/** In the order in which they count. */
export const tokenLimitFields = {
  max_completion_tokens: optional(Ceiling),
  max_tokens: optional(Ceiling),
  /** OpenAI's Responses API and Google's. */
  max_output_tokens: optional(Ceiling),
  /** Text Generation Inference and Transformers. */
  max_new_tokens: optional(Ceiling),
  /** llama-server. */
  n_predict: optional(Ceiling),
  /** Ollama. */
  num_predict: optional(Ceiling),
};

const TokenLimitRequest = Type.Object(tokenLimitFields);

/** The first limit of a body; undefined without one. */
export function readTokenLimit(body: Static<typeof TokenLimitRequest>): number | undefined {
  const names = Object.keys(tokenLimitFields) as (keyof typeof tokenLimitFields)[];
  const limit = names.map((name) => body[name]).find((value) => value != null);
  return limit == null || limit < 0 ? undefined : limit;
}
