import { type Static, Type } from 'typebox';
import { optional } from '../fields/optional.ts';
import { InputUsage, maxInputCount } from './embedding-shapes.ts';

/** A text, or an object with a text. */
export type RequestDocument = string | { readonly text: string };

const documentsSchema = {
  type: ['array', 'null'],
  minItems: 1,
  maxItems: maxInputCount,
  items: {
    type: ['string', 'object'],
    minLength: 1,
    properties: { text: { type: 'string', minLength: 1 } },
    required: ['text'],
  },
};
const Documents = Type.Unsafe<readonly RequestDocument[] | null>(documentsSchema);

/** Cohere's words of the end that is cut, TEI's and Jina's switch. */
const truncations = [true, false, 'NONE', 'START', 'END', null] as const;

/** The honoured fields of Jina's, Cohere's, Voyage's, vLLM's and TEI's APIs. */
export const RerankRequest = Type.Object({
  model: optional(Type.String()),
  query: Type.String({ minLength: 1 }),
  documents: Type.Optional(Documents),
  /** TEI's name of the documents; the reply is then TEI's, too. */
  texts: Type.Optional(Documents),
  /** 0 and −1 are all. */
  top_n: optional(Type.Integer({ minimum: -1 })),
  /** Voyage's and others' name of the same. */
  top_k: optional(Type.Integer({ minimum: -1 })),
  return_documents: optional(Type.Boolean()),
  /** TEI's name of the same. */
  return_text: optional(Type.Boolean()),
  /** The values of the head itself, which may be any number. */
  raw_scores: optional(Type.Boolean()),
  /** Documents that do not fit beside the query are cut instead of refused. */
  truncate: Type.Optional(Type.Unsafe<(typeof truncations)[number]>({ enum: [...truncations] })),
  truncation: optional(Type.Boolean()),
  truncation_direction: Type.Optional(
    Type.Unsafe<string | null>({ enum: ['right', 'left', 'Right', 'Left', null] }),
  ),
  /** Maximum tokens of query and document together; −1 is the model's. */
  truncate_prompt_tokens: optional(Type.Integer({ minimum: -1 })),
  /** Maximum tokens of a document. */
  max_tokens_per_doc: optional(Type.Integer({ minimum: 1 })),
});
export type RerankRequest = Static<typeof RerankRequest>;

export const RerankReply = Type.Object({
  id: Type.String(),
  object: Type.Literal('list'),
  model: Type.String(),
  /** The best document first. */
  results: Type.Array(
    Type.Object({
      index: Type.Integer(),
      /** 0 to 1, unless the request asks for raw scores. */
      relevance_score: Type.Number(),
      document: Type.Optional(Type.Object({ text: Type.String() })),
    }),
  ),
  usage: InputUsage,
});
export type RerankReply = Static<typeof RerankReply>;

/** TEI's reply, the best text first. */
export const TeiRanks = Type.Array(
  Type.Object({
    index: Type.Integer(),
    /** 0 to 1, unless the request asks for raw scores. */
    score: Type.Number(),
    text: Type.Optional(Type.String()),
  }),
);
export type TeiRanks = Static<typeof TeiRanks>;

/** An object, or with `texts` TEI's array. */
export const AnyRerankReply = Type.Union([RerankReply, TeiRanks]);
