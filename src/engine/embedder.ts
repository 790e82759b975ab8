/** The contract of vectors and scores: inputs are prepared, then embedded or ranked. */

/**
 * How the vectors of all tokens become one: their mean, the first, the last, or, by a classification head, the
 * score of a query and a document. The names are llama.cpp's.
 */
export type Pooling = 'mean' | 'cls' | 'last' | 'rank';

/** What the model computes from texts beside more text. */
export interface EmbeddingCapabilities {
  /** With `rank` the model scores documents; with every other pooling it computes vectors. */
  readonly pooling: Pooling;
  /** Values of a vector. */
  readonly width: number;
  /** Maximum tokens of one input. */
  readonly contextLength: number;
}

/** Texts or tokens that are ready to be embedded or ranked. Opaque: the tokens stay native. */
export interface PreparedInputs {
  /** Tokens of each input, including those the model requires around a text. */
  readonly tokenCounts: Int32Array;
  /** Valid only for the embedder that prepared it. */
  readonly handle: unknown;
}

/** A text or its tokens. */
export type EmbeddingInput = string | readonly number[];

/** The input at {@link index} cannot be computed. */
export class InputError extends Error {
  readonly index: number;

  constructor(index: number, reason: string) {
    super(reason);
    this.name = 'InputError';
    this.index = index;
  }
}

/** How scores are given. */
export interface RankOptions {
  /** The values of the head itself, any number, instead of 0 to 1. Default: false. */
  readonly raw?: boolean;
}

/** Computes vectors, or with pooling `rank` scores. */
export interface Embedder {
  /**
   * Tokenizes inputs for {@link embed} on a worker thread.
   * @param maxTokens - longer inputs are truncated but keep their closing token. Default: no truncation
   * @throws {InputError} for an empty input and for one that cannot be tokenized
   * @throws {GatewayError} `embeddings_unavailable`
   */
  prepareInputs(inputs: readonly EmbeddingInput[], maxTokens?: number): Promise<PreparedInputs>;

  /** Joins a query with each of the documents for {@link rank}. Throws like {@link prepareInputs}. */
  prepareRanking(query: string, documents: readonly string[]): Promise<PreparedInputs>;

  /**
   * Vectors of inputs, in their order, each of norm 1. No input may be longer than
   * `info.embedding.contextLength`.
   * @param dimensions - values kept of each vector, 1 to `info.embedding.width`. Default: all
   * @throws the signal's reason once it aborts
   * @throws {GatewayError} `sequence_failed`, `engine_failed`, `shutting_down`
   */
  embed(
    inputs: PreparedInputs,
    dimensions?: number,
    signal?: AbortSignal,
  ): Promise<readonly Float32Array[]>;

  /** How well each document answers the query. Throws like {@link embed}. */
  rank(
    inputs: PreparedInputs,
    options?: RankOptions,
    signal?: AbortSignal,
  ): Promise<readonly number[]>;
}
