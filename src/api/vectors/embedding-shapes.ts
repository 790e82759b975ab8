import { type Static, Type } from 'typebox';
import { optional } from '../fields/optional.ts';
import type { PromptParts } from '../generation/prompt.ts';

/** Maximum inputs of one request; OpenAI's limit. */
export const maxInputCount = 2048;

/** The form of a vector: numbers, or little-endian 32-bit floats in base64. */
export type EncodingFormat = 'float' | 'base64';

/**
 * A text, or an array. An array with token ids is one input of texts and tokens; any other array holds inputs, each a text or
 * an array of texts and tokens.
 */
export type RequestInput = string | readonly (string | number | PromptParts)[];

/** OpenAI's fields, and two for truncation. */
export const EmbeddingRequest = Type.Object({
  model: optional(Type.String()),
  input: Type.Unsafe<RequestInput>({
    type: ['string', 'array'],
    minLength: 1,
    minItems: 1,
    items: {
      type: ['string', 'integer', 'array'],
      minLength: 1,
      minimum: 0,
      minItems: 1,
      items: { type: ['string', 'integer'], minimum: 0 },
    },
  }),
  encoding_format: Type.Optional(
    Type.Unsafe<EncodingFormat | null>({ enum: ['float', 'base64', null] }),
  ),
  dimensions: optional(Type.Integer({ minimum: 1 })),
  /** A switch, or NVIDIA's and Cohere's words; the end is cut. */
  truncate: Type.Optional(
    Type.Unsafe<boolean | 'NONE' | 'END' | null>({ enum: [true, false, 'NONE', 'END', null] }),
  ),
  /** Maximum tokens of an input; −1 is the model's. */
  truncate_prompt_tokens: optional(Type.Integer({ minimum: -1 })),
});
export type EmbeddingRequest = Static<typeof EmbeddingRequest>;

/** The computed tokens. */
export const InputUsage = Type.Object({
  prompt_tokens: Type.Integer(),
  total_tokens: Type.Integer(),
});
export type InputUsage = Static<typeof InputUsage>;

export const EmbeddingList = Type.Object({
  object: Type.Literal('list'),
  data: Type.Array(
    Type.Object({
      object: Type.Literal('embedding'),
      index: Type.Integer(),
      embedding: Type.Union([Type.Array(Type.Number()), Type.String()]),
    }),
  ),
  model: Type.String(),
  usage: InputUsage,
});
export type EmbeddingList = Static<typeof EmbeddingList>;

export function toInputUsage(tokenCounts: Int32Array): InputUsage {
  const total = tokenCounts.reduce((sum, count) => sum + count, 0);
  return { prompt_tokens: total, total_tokens: total };
}
