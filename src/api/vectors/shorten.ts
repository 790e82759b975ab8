/** Cuts documents, where a request asks for it, until query and document fit the model. */
import type { Embedder, PreparedInputs } from '../../engine/embedder.ts';
import type { Tokenizer } from '../../engine/tokenizer.ts';
import { computable, requireFit } from './input-work.ts';

/** A text of a request. */
export interface RequestText {
  /** Path in the request's body, such as `documents[2]`. */
  readonly path: string;
  readonly text: string;
}

/** How documents that are too long are cut. */
export interface Cut {
  /** Maximum tokens of a document by itself. Default: no limit of its own. */
  readonly textTokens?: number;
  /** Maximum tokens of query and document together, at most the model's. Default: longer ones are refused. */
  readonly pairTokens?: number;
  /** The end that is cut. */
  readonly from: 'start' | 'end';
}

/** A query and the documents that it is compared with. */
export interface TextPairs {
  readonly query: string;
  readonly documents: readonly RequestText[];
}

/** A shorter text may have another number of tokens than its part had: it is cut again. */
const maxRounds = 4;

/** Texts that are tokenized at the same time; other requests share the worker threads. */
const batchSize = 64;

/**
 * Joins the query with each document, cut where it has to be.
 * @throws {GatewayError} `invalid_value`, or `context_length_exceeded` for documents that may not be cut, or not enough
 */
export async function preparedPairs(
  { query, documents }: TextPairs,
  { textTokens, pairTokens, from }: Cut,
  options: {
    readonly ranker: Embedder;
    readonly tokenizer: Tokenizer;
    readonly contextLength: number;
  },
): Promise<PreparedInputs> {
  const { ranker, tokenizer, contextLength } = options;
  const pathOf = (index: number) => documents[index]?.path ?? 'documents';
  const limit = Math.min(pairTokens ?? contextLength, contextLength);
  const shorten = (text: string, lengthOf: (tokenCount: number) => number) =>
    shortened(text, { tokenizer, from, lengthOf });
  let texts = documents.map(({ text }) => text);
  if (textTokens !== undefined) {
    texts = await inBatches(texts, (text) => shorten(text, () => textTokens));
  }
  let inputs = await computable(ranker.prepareRanking(query, texts), pathOf);
  for (let round = 0; pairTokens !== undefined && round < maxRounds; round++) {
    const { tokenCounts } = inputs;
    if (tokenCounts.every((count) => count <= limit)) break;
    texts = await inBatches(texts, async (text, index) => {
      const surplus = (tokenCounts[index] ?? 0) - limit;
      return surplus <= 0 ? text : shorten(text, (tokenCount) => tokenCount - surplus);
    });
    // Where nothing of a document is left, the query itself is too long.
    if (texts.includes('')) break;
    inputs = await computable(ranker.prepareRanking(query, texts), pathOf);
  }
  return requireFit(inputs, { contextLength, pathOf });
}

/** A part of a text with at most so many tokens; empty where none may stay. */
async function shortened(
  text: string,
  options: {
    readonly tokenizer: Tokenizer;
    readonly from: Cut['from'];
    readonly lengthOf: (tokenCount: number) => number;
  },
): Promise<string> {
  const { tokenizer, from, lengthOf } = options;
  const tokens = await tokenizer.tokenize(text, { addSpecial: false, parseSpecial: false });
  const length = lengthOf(tokens.length);
  if (tokens.length <= length) return text;
  if (length <= 0) return '';
  const kept = from === 'end' ? tokens.slice(0, length) : tokens.slice(-length);
  const bytes = await tokenizer.detokenize(kept);
  // The cut may fall within a character.
  return bytes.toString().replace(/^\ufffd+|\ufffd+$/g, '');
}

async function inBatches(
  texts: readonly string[],
  change: (text: string, index: number) => Promise<string>,
): Promise<string[]> {
  const changed: string[] = [];
  for (let start = 0; start < texts.length; start += batchSize) {
    const batch = texts.slice(start, start + batchSize);
    changed.push(...(await Promise.all(batch.map((text, at) => change(text, start + at)))));
  }
  return changed;
}
