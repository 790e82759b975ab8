import type { FastifyBaseLogger } from 'fastify';
import { checkBodyFields } from '../fields/body-fields.ts';
import { unsupported } from '../fields/request-errors.ts';
import { RerankRequest } from './rerank-shapes.ts';

/** Fields of Jina's and Cohere's APIs that would change scores and are not honoured. */
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
 * Reads the texts of the documents from a body that fits the schema.
 * @throws {GatewayError} `unsupported_parameter`
 */
export function readDocuments(body: RerankRequest, log: FastifyBaseLogger): string[] {
  checkBodyFields(body, RerankRequest.properties, log);
  const refused = refusedFields.find((name) => (body as Record<string, unknown>)[name] != null);
  if (refused !== undefined) throw unsupported(refused, 'leave it out and shorten the documents');
  return body.documents.map((document) =>
    typeof document === 'string' ? document : document.text,
  );
}
