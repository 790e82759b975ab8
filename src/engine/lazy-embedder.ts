import type { LlamaModel } from 'node-llama-cpp';
import { GatewayError } from '../core/errors.ts';
import type { Addon, NativeEmbedderOptions } from './addon.ts';
import { addonModelOf } from './addon-model.ts';
import { Embedder } from './embedder.ts';
import type { EmbeddingAbilities, Pooling } from './engine.ts';

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
export const nicenessBesideAnEngine = 10;

/** What the model makes of texts with these options. */
export function embeddingAbilities(
  addon: Addon,
  model: LlamaModel,
  { pooling, contextLength }: EmbeddingOptions,
): EmbeddingAbilities {
  const { width } = addon.Embedder.abilities(addonModelOf(model));
  return { pooling, width, contextLength };
}

/** An embedder that is started when it is first asked for, and again after it has failed. */
export class LazyEmbedder {
  readonly #addon: Addon;
  readonly #options: LazyEmbedderOptions;
  #starting: Promise<Embedder> | undefined;
  #current: Embedder | undefined;
  #closed = false;

  constructor(addon: Addon, options: LazyEmbedderOptions) {
    this.#addon = addon;
    this.#options = options;
  }

  /** Requests without an answer. */
  get pendingCount(): number {
    return this.#current?.pendingCount ?? 0;
  }

  /** @throws {GatewayError} `embeddings_unavailable` when it cannot be started, `shutting_down` */
  async get(): Promise<Embedder> {
    if (this.#current?.failed) {
      void this.#current.close();
      this.#current = undefined;
      this.#starting = undefined;
    }
    if (this.#closed) throw new GatewayError('shutting_down');
    this.#starting ??= this.#start();
    return this.#starting;
  }

  /** Ends all requests as cancelled and frees everything. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    const embedder = await this.#starting?.catch(() => undefined);
    await embedder?.close();
  }

  async #start(): Promise<Embedder> {
    const { model, embedding, threadCount, ubatchSize, niceness } = this.#options;
    const { flashAttention, cacheTypeK, cacheTypeV, processors = [] } = this.#options;
    try {
      await embedding.checkMemory?.();
      const addonModel = addonModelOf(model);
      const { width, classCount } = this.#addon.Embedder.abilities(addonModel);
      this.#current = await Embedder.start(this.#addon, {
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
