import type { LlamaModel } from 'node-llama-cpp';
import { GatewayError } from '../core/errors.ts';
import type { Addon, NativeEmbedderOptions } from './addon.ts';
import { addonModelOf } from './addon-model.ts';
import type {
  Embedder,
  EmbeddingCapabilities,
  EmbeddingInput,
  Pooling,
  PreparedInputs,
} from './embedder.ts';
import type { EngineStats } from './engine.ts';
import { NativeEmbedder } from './native-embedder.ts';
import type { TokenizeOptions, Tokenizer } from './tokenizer.ts';

/** How a model's texts become vectors or scores. */
export interface EmbeddingOptions {
  readonly pooling: Pooling;
  /** Tokens one input may have. */
  readonly contextLength: number;
  /** Whether a token of this model sees those after it, so that an input has to be computed at once. */
  readonly wholeInputs: boolean;
  /** Called before memory is taken; throws when there is too little. */
  readonly checkMemory?: () => Promise<void>;
}

/** What an embedder shares with the engine of its model. */
export interface LazyEmbedderOptions
  extends Pick<
    NativeEmbedderOptions,
    'threadCount' | 'ubatchSize' | 'flashAttention' | 'cacheTypeK' | 'cacheTypeV' | 'niceness'
  > {
  readonly model: LlamaModel;
  readonly embedding: EmbeddingOptions;
  /** Left out: any. */
  readonly processors?: readonly number[] | undefined;
}

/**
 * Linux's nice value of the embedder's threads where an engine generates beside them: while it computes
 * they get a tenth of what its threads get, while it rests everything.
 */
export const nicenessBesideAGenerator = 10;

/** What the model makes of texts with these options. */
export function embeddingCapabilities(
  addon: Addon,
  model: LlamaModel,
  { pooling, contextLength }: EmbeddingOptions,
): EmbeddingCapabilities {
  const { width } = addon.Embedder.abilities(addonModelOf(model));
  return { pooling, width, contextLength };
}

/** An embedder whose native thread starts with the first request, and again after it has failed. */
export class LazyEmbedder implements Embedder, Tokenizer {
  readonly #addon: Addon;
  readonly #options: LazyEmbedderOptions;
  #starting: Promise<NativeEmbedder> | undefined;
  #current: NativeEmbedder | undefined;
  #closed = false;

  constructor(addon: Addon, options: LazyEmbedderOptions) {
    this.#addon = addon;
    this.#options = options;
  }

  /**
   * Starts the native thread now.
   * @throws {Error} with the cause when its context cannot be created
   */
  async start(): Promise<void> {
    try {
      await this.#running();
    } catch (error) {
      throw error instanceof GatewayError && error.cause instanceof Error ? error.cause : error;
    }
  }

  async prepareInputs(
    inputs: readonly EmbeddingInput[],
    maxTokens?: number,
  ): Promise<PreparedInputs> {
    return (await this.#running()).prepareInputs(inputs, maxTokens);
  }

  async prepareRanking(query: string, documents: readonly string[]): Promise<PreparedInputs> {
    return (await this.#running()).prepareRanking(query, documents);
  }

  async embed(
    inputs: PreparedInputs,
    dimensions?: number,
    signal?: AbortSignal,
  ): Promise<readonly Float32Array[]> {
    return (await this.#running()).embed(inputs, dimensions, signal);
  }

  async rank(inputs: PreparedInputs, signal?: AbortSignal): Promise<readonly number[]> {
    return (await this.#running()).rank(inputs, signal);
  }

  async tokenize(text: string, options: TokenizeOptions): Promise<readonly number[]> {
    return (await this.#running()).tokenize(text, options);
  }

  async detokenize(tokens: readonly number[]): Promise<Buffer> {
    return (await this.#running()).detokenize(tokens);
  }

  stats(): EngineStats {
    const pendingCount = this.#current?.pendingCount ?? 0;
    return {
      ...nothingGenerated,
      runningCount: Math.min(1, pendingCount),
      waitingCount: Math.max(0, pendingCount - 1),
      awaitedCount: pendingCount,
    };
  }

  /** Ends all requests as cancelled and frees everything. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    const embedder = await this.#starting?.catch(() => undefined);
    await embedder?.close();
  }

  /** @throws {GatewayError} `embeddings_unavailable` when the thread cannot start, `shutting_down` */
  async #running(): Promise<NativeEmbedder> {
    if (this.#current?.failed) {
      void this.#current.close();
      this.#current = undefined;
      this.#starting = undefined;
    }
    if (this.#closed) throw new GatewayError('shutting_down');
    this.#starting ??= this.#start();
    return this.#starting;
  }

  async #start(): Promise<NativeEmbedder> {
    const { model, embedding, threadCount, ubatchSize, niceness } = this.#options;
    const { flashAttention, cacheTypeK, cacheTypeV, processors = [] } = this.#options;
    try {
      await embedding.checkMemory?.();
      const addonModel = addonModelOf(model);
      const { width, classCount } = this.#addon.Embedder.abilities(addonModel);
      this.#current = await NativeEmbedder.start(this.#addon, {
        model: addonModel,
        pooling: embedding.pooling,
        contextLength: embedding.contextLength,
        wholeInputs: embedding.wholeInputs,
        ubatchSize,
        threadCount,
        threadPoll: 0,
        processors,
        flashAttention,
        cacheTypeK,
        cacheTypeV,
        niceness,
        width,
        classCount,
      });
      return this.#current;
    } catch (cause) {
      this.#starting = undefined;
      throw new GatewayError('embeddings_unavailable', { cause });
    }
  }
}

const nothingGenerated: EngineStats = {
  stepCount: 0,
  decodeCallCount: 0,
  decodedTokenCount: 0,
  prefilledTokenCount: 0,
  cachedTokenCount: 0,
  recomputedTokenCount: 0,
  laneTokenCount: 0,
  sampledTokenCount: 0,
  prefixHitCount: 0,
  pausedSequenceCount: 0,
  movedSequenceCount: 0,
  draftCount: 0,
  draftedTokenCount: 0,
  acceptedTokenCount: 0,
  acceptedTokenCountByPlace: [],
  stepMs: 0,
  decodeMs: 0,
  samplingMs: 0,
  runningCount: 0,
  waitingCount: 0,
  awaitedCount: 0,
  usedKvTokenCount: 0,
  keptKvTokenCount: 0,
  keptPrefixCount: 0,
};
