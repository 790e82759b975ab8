import { type Static, Type } from 'typebox';
import { optional } from '../fields/optional.ts';
import { InputUsage, maxInputCount } from './embedding-shapes.ts';

/** A text, or an object with a text. */
export type RequestDocument = string | { readonly text: string };

/** The honoured fields of Jina's and Cohere's APIs. */
export const RerankRequest = Type.Object({
  model: optional(Type.String()),
  query: Type.String({ minLength: 1 }),
  documents: Type.Unsafe<readonly RequestDocument[]>({
    type: 'array',
    minItems: 1,
    maxItems: maxInputCount,
    items: {
      type: ['string', 'object'],
      minLength: 1,
      properties: { text: { type: 'string', minLength: 1 } },
      required: ['text'],
    },
  }),
  top_n: optional(Type.Integer({ minimum: 1 })),
  return_documents: optional(Type.Boolean()),
});
export type RerankRequest = Static<typeof RerankRequest>;

export const RerankReply = Type.Object({
  object: Type.Literal('list'),
  model: Type.String(),
  /** The best document first. */
  results: Type.Array(
    Type.Object({
      index: Type.Integer(),
      relevance_score: Type.Number({ minimum: 0, maximum: 1 }),
      document: Type.Optional(Type.Object({ text: Type.String() })),
    }),
  ),
  usage: InputUsage,
});
export type RerankReply = Static<typeof RerankReply>;
