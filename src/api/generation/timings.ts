import { type Static, Type } from 'typebox';
import type { CompletionTotals } from './completion.ts';

/** Time and token rates of a completion, in llama-server's form; a rate without a divisor is 0. */
export const Timings = Type.Object({
  /** Prompt tokens from the prefix cache. */
  cache_n: Type.Integer(),
  /** Computed prompt tokens. */
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

/** Example of the API document. */
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
 * With several choices, tokens are sums and times those of the slowest choice, so that the rates are those of the
 * whole request. The rates exclude the first token of each choice, which the prompt's step samples.
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
