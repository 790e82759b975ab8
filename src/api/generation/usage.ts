import { type Static, Type } from 'typebox';
import type { TokenUsage } from '../../engine/generator.ts';

/** Token counts in OpenAI's form. */
export const Usage = Type.Object({
  prompt_tokens: Type.Integer(),
  completion_tokens: Type.Integer(),
  total_tokens: Type.Integer(),
  prompt_tokens_details: Type.Object({ cached_tokens: Type.Integer() }),
  completion_tokens_details: Type.Object({ reasoning_tokens: Type.Integer() }),
});
export type Usage = Static<typeof Usage>;

/** Example of the API document. */
export const exampleUsage: Usage = {
  prompt_tokens: 13,
  completion_tokens: 21,
  total_tokens: 34,
  prompt_tokens_details: { cached_tokens: 0 },
  completion_tokens_details: { reasoning_tokens: 0 },
};

export function toUsage(usage: TokenUsage): Usage {
  return {
    prompt_tokens: usage.promptTokenCount,
    completion_tokens: usage.completionTokenCount,
    total_tokens: usage.promptTokenCount + usage.completionTokenCount,
    prompt_tokens_details: { cached_tokens: usage.cachedTokenCount },
    completion_tokens_details: { reasoning_tokens: usage.reasoningTokenCount },
  };
}
