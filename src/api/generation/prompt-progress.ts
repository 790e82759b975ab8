import { type Static, Type } from 'typebox';
import type { EngineEvent } from '../../engine/generator.ts';

/** How much of a prompt is computed, in llama-server's form. */
export const PromptProgress = Type.Object({
  /** Tokens of the prompt. */
  total: Type.Integer(),
  /** Tokens that were found in the prefix cache. */
  cache: Type.Integer(),
  /** Tokens that are in the cache by now, the found ones included. */
  processed: Type.Integer(),
  /** Milliseconds since the first step that worked on the prompt. */
  time_ms: Type.Number(),
});
export type PromptProgress = Static<typeof PromptProgress>;

export type ProgressEvent = Extract<EngineEvent, { type: 'prompt-progress' }>;

export function toPromptProgress(event: ProgressEvent): PromptProgress {
  const { promptTokenCount, cachedTokenCount, processedTokenCount, ms } = event;
  return {
    total: promptTokenCount,
    cache: cachedTokenCount,
    processed: processedTokenCount,
    time_ms: ms,
  };
}
