import type { SettingValues } from '../config/table.ts';
import { StartError } from '../core/start-error.ts';
import type { NativeLimits } from '../engine/addon.ts';
import type { Pooling } from '../engine/embedder.ts';
import type { GgufHeader } from './gguf-header.ts';

/** Architectures whose output is a vector, not text; their tokens attend to later ones. */
const embeddingArchitectures: ReadonlySet<string> = new Set([
  'bert',
  'modern-bert',
  'nomic-bert',
  'nomic-bert-moe',
  'neo-bert',
  'jina-bert-v2',
  'jina-bert-v3',
  'eurobert',
  'gemma-embedding',
  'llama-embed',
]);

/** Architectures whose heads llama.cpp reads as "yes" and "no" and normalizes to a sum of 1. */
const yesNoArchitectures: ReadonlySet<string> = new Set(['qwen3', 'qwen3vl']);

/** How a file embeds texts. */
export interface EmbeddingTraits {
  /** True if the model generates text; otherwise it only embeds or ranks. */
  readonly generates: boolean;
  /** True if a token attends to later ones, so that an input is computed in one piece. */
  readonly wholeInputs: boolean;
  /** Undefined if the file names no pooling, or a head that it does not have. */
  readonly pooling: Pooling | undefined;
  readonly vocabularySize: number;
}

/** The values that determine the memory of embeddings. */
export interface EmbeddingShape extends EmbeddingTraits {
  /** Maximum tokens of one input. */
  readonly contextLength: number;
}

type PoolingSetting = SettingValues['POOLING'];

/** Maximum tokens of an input where no memory is reserved: the limit of OpenAI's models. */
const unreservedLength = 8192;

const logitBytes = 4;

/** @param headers - of all parts of the file, the first part's first */
export function embeddingTraits(
  architecture: string,
  headers: readonly [GgufHeader, ...GgufHeader[]],
): EmbeddingTraits {
  const { metadata } = headers[0];
  const isCausal =
    !embeddingArchitectures.has(architecture) &&
    metadata.get(`${architecture}.attention.causal`) !== false;
  const tokens = metadata.get('tokenizer.ggml.tokens');
  return {
    generates: isCausal,
    wholeInputs: !isCausal,
    pooling: poolingOf(architecture, headers),
    vocabularySize: typeof tokens === 'object' ? tokens.arrayLength : 0,
  };
}

/** The pooling to use: the operator's, else the file's, else the mean, which suits any model. */
export function chosenPooling(
  setting: PoolingSetting,
  { pooling }: Pick<EmbeddingTraits, 'pooling'>,
): Pooling {
  return setting === 'auto' ? (pooling ?? 'mean') : setting;
}

/** True if memory is reserved for the embeddings of a model that generates text. */
export function expectsEmbeddings(setting: PoolingSetting, { pooling }: EmbeddingTraits): boolean {
  return setting !== 'auto' || pooling !== undefined;
}

/** Maximum tokens of an input. */
export function embeddingLength(
  contextLength: number,
  setting: PoolingSetting,
  traits: EmbeddingTraits,
): number {
  const isPrepared = !traits.generates || expectsEmbeddings(setting, traits);
  return isPrepared ? contextLength : Math.min(contextLength, unreservedLength);
}

/** The trained context of a model without decoder, limited unless the setting asks for more. */
export function unsetLength(
  contextLength: number | undefined,
  trainedContextLength: number | undefined,
): number | undefined {
  if (contextLength !== undefined || trainedContextLength === undefined)
    return trainedContextLength;
  return Math.min(trainedContextLength, unreservedLength);
}

/** Tokens of a batch; the memory of their logits limits them. */
export function embeddingBatchSize(
  shape: EmbeddingShape,
  ubatchSize: number,
  limits: Pick<NativeLimits, 'maxEmbeddingLogits' | 'minEmbeddingBatchSize'>,
): number {
  const affordable = Math.floor(limits.maxEmbeddingLogits / Math.max(1, shape.vocabularySize));
  const batchSize = Math.max(Math.min(ubatchSize, affordable), limits.minEmbeddingBatchSize);
  return shape.wholeInputs ? Math.max(shape.contextLength, batchSize) : batchSize;
}

/** Memory that llama.cpp reserves for logits: beside the vectors, and in the graph of models that generate text. */
export function logitsBytes(
  { vocabularySize, generates }: EmbeddingShape,
  batchSize: number,
): { readonly resultBytes: number; readonly graphBytes: number } {
  const resultBytes = vocabularySize * batchSize * logitBytes;
  return { resultBytes, graphBytes: generates ? resultBytes : 0 };
}

/**
 * Requires a context within the trained positions: a model without decoder has a vector for those only.
 * @throws {StartError} exit code 1
 */
export function requirePositions(
  contextLength: number | undefined,
  trainedContextLength: number | undefined,
): void {
  if (contextLength === undefined || trainedContextLength === undefined) return;
  if (contextLength <= trainedContextLength) return;
  throw new StartError(
    1,
    `CTX ${contextLength} is more than the ${trainedContextLength} positions of this embedding model; lower it or leave it unset`,
  );
}

function poolingOf(
  architecture: string,
  headers: readonly [GgufHeader, ...GgufHeader[]],
): Pooling | undefined {
  // Numbers of llama.cpp's llama_pooling_type; 0 is none.
  switch (headers[0].metadata.get(`${architecture}.pooling_type`)) {
    case 1:
      return 'mean';
    case 2:
      return 'cls';
    case 3:
      return 'last';
    case 4:
      return hasRankingHead(architecture, headers) ? 'rank' : undefined;
    default:
      return undefined;
  }
}

/** True if a head with one score exists: without it llama.cpp would read uninitialized memory. */
function hasRankingHead(
  architecture: string,
  headers: readonly [GgufHeader, ...GgufHeader[]],
): boolean {
  const labels = headers[0].metadata.get(`${architecture}.classifier.output_labels`);
  const labelCount = typeof labels === 'object' ? labels.arrayLength : 1;
  if (yesNoArchitectures.has(architecture) ? labelCount < 2 : labelCount > 1) return false;
  const shapeOf = (name: string) =>
    headers.map(({ headShapes }) => headShapes.get(name)).find((shape) => shape !== undefined);
  if (shapeOf('cls.output.weight') !== undefined) return true;
  return shapeOf('cls.weight')?.[1] === 1 || shapeOf('cls.weight')?.length === 1;
}
