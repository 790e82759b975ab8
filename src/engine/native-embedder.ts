/** The {@link Embedder} over the addon's embedder: one promise for each request. */
import type { LlamaModel } from 'node-llama-cpp';
import { GatewayError } from '../core/errors.ts';
import type {
  Addon,
  EmbedderStarted,
  NativeEmbedderHandle,
  NativeEmbedderOptions,
  NativeEmbedEvent,
  NativeInputs,
  NativeRequestError,
} from './addon.ts';
import { addonModelOf } from './addon-model.ts';
import {
  type Embedder,
  type EmbeddingCapabilities,
  type EmbeddingInput,
  InputError,
  type Pooling,
  type PreparedInputs,
  type RankOptions,
} from './embedder.ts';
import { type EngineStats, zeroStats } from './engine-stats.ts';
import { NativeThread } from './native-thread.ts';
import type { TokenizeOptions, Tokenizer } from './tokenizer.ts';

/** How a model's texts become vectors or scores. */
export interface EmbeddingOptions {
  readonly pooling: Pooling;
  /** Maximum tokens of one input. */
  readonly contextLength: number;
  /** True if a token of this model attends to later ones, so that an input is computed in one piece. */
  readonly wholeInputs: boolean;
  /** Called before memory is taken; throws when there is too little. */
  readonly checkMemory?: () => Promise<void>;
}

/** Options of an embedder. All but `embedding` are those of its model's engine. */
export interface EmbedderOptions
  extends Pick<
    NativeEmbedderOptions,
    'threadCount' | 'ubatchSize' | 'flashAttention' | 'cacheTypeK' | 'cacheTypeV' | 'niceness'
  > {
  readonly model: LlamaModel;
  readonly embedding: EmbeddingOptions;
  /** Default: any. */
  readonly processors?: readonly number[] | undefined;
}

/** A request that waits for its values. */
interface PendingEmbedding {
  readonly resolve: (values: Float32Array) => void;
  readonly fail: (error: unknown) => void;
  /** Its reason ends a cancelled request. */
  readonly signal: AbortSignal | undefined;
}

type EmbedderThread = NativeThread<
  NativeEmbedderHandle,
  EmbedderStarted,
  NativeEmbedEvent,
  PendingEmbedding
>;

/** An embedder whose thread starts with the first request, and again after it has failed. */
export class NativeEmbedder implements Embedder, Tokenizer {
  readonly capabilities: EmbeddingCapabilities;
  readonly vocabularySize: number;
  /** Values of the classification head. */
  readonly #classCount: number;
  readonly #addon: Addon;
  readonly #options: EmbedderOptions;
  #thread: EmbedderThread | undefined;
  #starting: Promise<EmbedderThread> | undefined;
  #isClosed = false;

  constructor(addon: Addon, options: EmbedderOptions) {
    this.#addon = addon;
    this.#options = options;
    const { pooling, contextLength } = options.embedding;
    const model = addon.Embedder.capabilities(addonModelOf(options.model));
    this.capabilities = { pooling, width: model.width, contextLength };
    this.vocabularySize = model.vocabularySize;
    this.#classCount = model.classCount;
  }

  /**
   * Starts the thread now.
   * @throws {Error} with the reason when its context cannot be created
   */
  async start(): Promise<void> {
    try {
      await this.#running();
    } catch (error) {
      throw error instanceof GatewayError && error.cause instanceof Error ? error.cause : error;
    }
  }

  prepareInputs(inputs: readonly EmbeddingInput[], maxTokens = 0): Promise<PreparedInputs> {
    const raw = inputs.map((input) => (typeof input === 'string' ? input : Int32Array.from(input)));
    return this.#prepare((native) => native.prepare(raw, maxTokens));
  }

  prepareRanking(query: string, documents: readonly string[]): Promise<PreparedInputs> {
    return this.#prepare((native) => native.prepareRanking(query, documents));
  }

  async embed(
    inputs: PreparedInputs,
    dimensions = this.capabilities.width,
    signal?: AbortSignal,
  ): Promise<readonly Float32Array[]> {
    const values = await this.#submit(inputs, dimensions, signal);
    return Array.from(inputs.tokenCounts, (_, index) =>
      values.subarray(index * dimensions, (index + 1) * dimensions),
    );
  }

  async rank(
    inputs: PreparedInputs,
    { raw = false }: RankOptions = {},
    signal?: AbortSignal,
  ): Promise<readonly number[]> {
    const scores = await this.#submit(inputs, 1, signal);
    // With several classes, the score is already the probability of the first one.
    const isProbability = this.#classCount > 1;
    if (raw === !isProbability) return [...scores];
    return Array.from(scores, raw ? logit : sigmoid);
  }

  async tokenize(
    text: string,
    { addSpecial, parseSpecial }: TokenizeOptions,
  ): Promise<readonly number[]> {
    return [...(await this.#onWorker((native) => native.tokenize(text, addSpecial, parseSpecial)))];
  }

  detokenize(tokens: readonly number[]): Promise<Buffer> {
    return this.#onWorker((native) => native.detokenize(Int32Array.from(tokens)));
  }

  stats(): EngineStats {
    const pendingCount = this.#thread?.pendingCount ?? 0;
    return {
      ...zeroStats,
      runningCount: Math.min(1, pendingCount),
      waitingCount: Math.max(0, pendingCount - 1),
      awaitedCount: pendingCount,
    };
  }

  /** Ends all requests as cancelled and frees everything. Idempotent. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const thread = await this.#starting?.catch(() => undefined);
    await thread?.close();
  }

  /** @throws {GatewayError} `embeddings_unavailable` when the thread cannot start, `shutting_down` */
  async #running(): Promise<EmbedderThread> {
    if (this.#thread?.hasFailed) {
      void this.#thread.close();
      this.#thread = undefined;
      this.#starting = undefined;
    }
    if (this.#isClosed) throw new GatewayError('shutting_down');
    this.#starting ??= this.#startThread();
    return this.#starting;
  }

  async #startThread(): Promise<EmbedderThread> {
    const { model, embedding, threadCount, ubatchSize, niceness } = this.#options;
    const { flashAttention, cacheTypeK, cacheTypeV, processors = [] } = this.#options;
    const { pooling, contextLength, wholeInputs } = embedding;
    const options = {
      model: addonModelOf(model),
      pooling,
      contextLength,
      wholeInputs,
      ubatchSize,
      threadCount,
      threadPoll: 0,
      processors,
      flashAttention,
      cacheTypeK,
      cacheTypeV,
      niceness,
    };
    try {
      await embedding.checkMemory?.();
      const thread: EmbedderThread = new NativeThread({
        name: 'embedder',
        create: (onEvents) => new this.#addon.Embedder(options, onEvents),
        onEvent: (id, event) => receive(thread, id, event),
      });
      await thread.start();
      this.#thread = thread;
      return thread;
    } catch (cause) {
      this.#starting = undefined;
      throw new GatewayError('embeddings_unavailable', { cause });
    }
  }

  async #prepare(
    call: (native: NativeEmbedderHandle) => Promise<NativeInputs>,
  ): Promise<PreparedInputs> {
    const prepared = await this.#onWorker(call);
    if ('handle' in prepared) return prepared;
    throw new InputError(prepared.failedIndex, prepared.reason);
  }

  async #onWorker<T>(call: (native: NativeEmbedderHandle) => Promise<T>): Promise<T> {
    const thread = await this.#running();
    return thread.onWorker(() => call(thread.native));
  }

  async #submit(
    inputs: PreparedInputs,
    dimensions: number,
    signal: AbortSignal | undefined,
  ): Promise<Float32Array> {
    const thread = await this.#running();
    return new Promise<Float32Array>((resolve, fail) => {
      thread.requireRunning();
      signal?.throwIfAborted();
      const send = (id: number) => thread.native.submit(id, inputs.handle as object, dimensions);
      thread.submit({ resolve, fail, signal }, send, signal);
    });
  }
}

function sigmoid(value: number): number {
  return 1 / (1 + Math.exp(-value));
}

/** The value of which a probability is the sigmoid; finite also where the probability is rounded to 0 or 1. */
function logit(probability: number): number {
  const inner = Math.min(Math.max(probability, 1e-30), 1 - Number.EPSILON);
  return Math.log(inner) - Math.log1p(-inner);
}

function receive(thread: EmbedderThread, id: number, event: NativeEmbedEvent): void {
  const request = thread.end(id);
  switch (event.type) {
    case 'embed-end':
      request?.resolve(event.values);
      return;
    case 'embed-cancelled':
      // Without an abort, the embedder was closed during the request.
      request?.fail(
        request.signal?.aborted ? request.signal.reason : new GatewayError('shutting_down'),
      );
      return;
    case 'request-error':
      request?.fail(toGatewayError(event));
      return;
    default:
      event satisfies never;
  }
}

function toGatewayError({ code, message }: NativeRequestError): GatewayError {
  const cause = new Error(message);
  if (code !== 'sequence_failed') return new GatewayError(code, { cause });
  return new GatewayError(code, { message: 'The inputs could not be computed.', cause });
}
