import { type Static, Type } from 'typebox';
import { optional } from '../fields/optional.ts';
import { unsupported } from '../fields/request-errors.ts';
import { InputUsage, maxInputCount } from './embedding-shapes.ts';

/** A document is a text, or an object that has one. */
export type RequestDocument = string | { readonly text: string };

/** The fields of Jina's and Cohere's APIs that are honoured. */
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

/** Fields of the two APIs that change scores and are not honoured. */
const refusedFields = [
  'max_chunks_per_doc',
  'max_tokens_per_doc',
  'overlap_tokens',
  'rank_fields',
  'truncate',
  'truncate_prompt_tokens',
  'truncation',
];

/**
 * The texts of the documents.
 * @throws {GatewayError} `unsupported_parameter`, `invalid_value`
 */
export function readDocuments(body: RerankRequest): string[] {
  const refused = refusedFields.find((name) => (body as Record<string, unknown>)[name] != null);
  if (refused !== undefined) throw unsupported(refused, 'leave it out and shorten the documents');
  return body.documents.map((document) =>
    typeof document === 'string' ? document : document.text,
  );
}

/** @param scores - of the documents, in their order */
export function toResults(
  scores: readonly number[],
  documents: readonly string[],
  { top_n: topCount, return_documents: returnDocuments }: RerankRequest,
): RerankReply['results'] {
  return scores
    .map((score, index) => ({ index, relevance_score: score }))
    .sort((one, other) => other.relevance_score - one.relevance_score || one.index - other.index)
    .slice(0, topCount ?? scores.length)
    .map((result) => {
      const text = documents[result.index];
      return returnDocuments === true && text !== undefined
        ? { ...result, document: { text } }
        : result;
    });
}
