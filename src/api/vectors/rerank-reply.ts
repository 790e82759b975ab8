import type { RerankReply, RerankRequest } from './rerank-shapes.ts';

/**
 * The results, best document first.
 * @param scores - of the documents, in their order
 */
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
