import { type Static, Type } from 'typebox';
import type { TokenLogprob } from '../../engine/logprobs.ts';
import { minLogprob } from './logprobs.ts';

const PromptToken = Type.Object({
  logprob: Type.Number(),
  /** 1 for the likeliest token at this position. */
  rank: Type.Integer(),
  decoded_token: Type.String(),
});

/**
 * Log probabilities of a prompt in vLLM's form: one item per token, null for the first, which has no prediction. An item
 * has the likeliest tokens and the token of the prompt, by their ids.
 */
export const PromptLogprobs = Type.Array(
  Type.Union([Type.Record(Type.String(), PromptToken), Type.Null()]),
);
export type PromptLogprobs = Static<typeof PromptLogprobs>;

/** @param topCount - number of likeliest tokens at each position */
export function toPromptLogprobs(
  tokens: readonly TokenLogprob[],
  topCount: number,
): PromptLogprobs {
  return tokens.map(({ id, bytes, logprob, rank = 0, top }) => {
    if (logprob === undefined) return null;
    const likeliest = top.slice(0, topCount).map((each, index) => ({ ...each, rank: index + 1 }));
    return Object.fromEntries(
      [{ id, bytes, logprob, rank }, ...likeliest].map((token) => [
        token.id,
        {
          logprob: Math.max(token.logprob, minLogprob),
          rank: token.rank,
          decoded_token: token.bytes.toString(),
        },
      ]),
    );
  });
}
