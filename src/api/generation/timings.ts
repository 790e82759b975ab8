import { type Static, Type } from 'typebox';
import type { CompletionTotals } from './completion.ts';

/** Where the time of a completion went, as llama-server tells it; 0 where there is nothing to divide by. */
export const Timings = Type.Object({
  /** Prompt tokens that were found in the cache. */
  cache_n: Type.Integer(),
  /** Prompt tokens that were computed. */
  prompt_n: Type.Integer(),
  prompt_ms: Type.Number(),
  prompt_per_token_ms: Type.Number(),
  prompt_per_second: Type.Number(),
  predicted_n: Type.Integer(),
  predicted_ms: Type.Number(),
  predicted_per_token_ms: Type.Number(),
  predicted_per_second: Type.Number(),
});
export type Timings = Static<typeof Timings>;

/** For the API document. */
export const exampleTimings: Timings = {
  cache_n: 0,
  prompt_n: 13,
  prompt_ms: 26,
  prompt_per_token_ms: 2,
  prompt_per_second: 500,
  predicted_n: 21,
  predicted_ms: 80,
  predicted_per_token_ms: 4,
  predicted_per_second: 250,
};

/**
 * Of several choices the tokens are added up, and the times are those of the slowest: the rates are those
 * of the whole request. The first token of each choice comes with its prompt, and is left out of the rates.
 */
export function toTimings({ usage, prefillMs, decodeMs, choiceCount }: CompletionTotals): Timings {
  const computedCount = usage.promptTokenCount - usage.cachedTokenCount;
  const stepCount = Math.max(0, usage.completionTokenCount - choiceCount);
  return {
    cache_n: usage.cachedTokenCount,
    prompt_n: computedCount,
    prompt_ms: prefillMs,
    prompt_per_token_ms: ratio(prefillMs, computedCount),
    prompt_per_second: ratio(computedCount * 1000, prefillMs),
    predicted_n: usage.completionTokenCount,
    predicted_ms: decodeMs,
    predicted_per_token_ms: ratio(decodeMs, stepCount),
    predicted_per_second: ratio(stepCount * 1000, decodeMs),
  };
}

function ratio(amount: number, divisor: number): number {
  return divisor > 0 ? amount / divisor : 0;
}
