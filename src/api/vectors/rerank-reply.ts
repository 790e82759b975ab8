import type { ParsedRanking } from './rerank-request.ts';
import type { RerankReply, TeiRanks } from './rerank-shapes.ts';

/** The place of a document in a ranking. */
interface Rank {
  readonly index: number;
  readonly score: number;
  /** Only where the reply has the texts. */
  readonly text?: string;
}

/**
 * The best documents, best first; equal ones in their order.
 * @param scores - of the documents, in their order
 */
export function ranksOf(
  scores: readonly number[],
  { documents, topCount, returnsTexts }: ParsedRanking,
): Rank[] {
  return scores
    .map((score, index) => ({ index, score }))
    .sort((one, other) => other.score - one.score || one.index - other.index)
    .slice(0, topCount ?? scores.length)
    .map((rank) => {
      const text = documents[rank.index]?.text;
      return returnsTexts && text !== undefined ? { ...rank, text } : rank;
    });
}

/** The form of Jina's and Cohere's APIs. */
export function toResults(ranks: readonly Rank[]): RerankReply['results'] {
  return ranks.map(({ index, score, text }) => ({
    index,
    relevance_score: score,
    ...(text !== undefined && { document: { text } }),
  }));
}

/** TEI's form. */
export function toTeiRanks(ranks: readonly Rank[]): TeiRanks {
  return [...ranks];
}
