/**
 * Vectors and scores over the addon's embedder: one stream of events in, one promise per request out.
 */
import { GatewayError } from '../core/errors.ts';
import type {
  Addon,
  NativeEmbedderHandle,
  NativeEmbedderOptions,
  NativeEmbedEvents,
  NativeEmbedPayload,
  NativeInputs,
} from './addon.ts';
import { type Embedder, type EmbeddingInput, InputError, type PreparedInputs } from './embedder.ts';
import type { TokenizeOptions, Tokenizer } from './tokenizer.ts';

/** What an embedder is set up with. */
export interface EmbedderOptions extends NativeEmbedderOptions {
  /** Values of a vector. */
  readonly width: number;
  /** Values of the classification head. */
  readonly classCount: number;
}

/** A request that waits for its values. */
interface Waiter {
  readonly resolve: (values: Float32Array) => void;
  readonly reject: (error: unknown) => void;
  /** What a cancelled request ends with. */
  readonly signal: AbortSignal | undefined;
}

/** A running embedder with one model. */
export class NativeEmbedder implements Embedder, Tokenizer {
  /** Those that will be heard of again, though perhaps nobody else holds them. */
  static readonly #busy = new Set<NativeEmbedder>();

  readonly #options: EmbedderOptions;
  readonly #native: NativeEmbedderHandle;
  readonly #waiters = new Map<number, Waiter>();
  readonly #preparing = new Set<Promise<unknown>>();
  readonly #started: Promise<void>;
  readonly #stopped: Promise<void>;
  #settleStarted: { resolve: () => void; reject: (error: Error) => void } | undefined;
  #settleStopped: (() => void) | undefined;
  #lastId = 0;
  #failure: string | undefined;
  #closing: Promise<void> | undefined;

  private constructor(addon: Addon, options: EmbedderOptions) {
    this.#options = options;
    this.#started = new Promise((resolve, reject) => {
      this.#settleStarted = { resolve, reject };
    });
    this.#stopped = new Promise((resolve) => {
      this.#settleStopped = resolve;
    });
    const { width: _width, classCount: _classCount, ...nativeOptions } = options;
    this.#native = new addon.Embedder(nativeOptions, NativeEmbedder.#receiverOf(this));
    this.#keepAlive(true);
  }

  /**
   * Starts an embedder on a loaded model.
   * @throws {Error} when its context cannot be created
   */
  static async start(addon: Addon, options: EmbedderOptions): Promise<NativeEmbedder> {
    const embedder = new NativeEmbedder(addon, options);
    try {
      await embedder.#started;
      return embedder;
    } catch (error) {
      await embedder.close();
      throw error;
    }
  }

  /** Whether it has broken and answers nothing any more. */
  get failed(): boolean {
    return this.#failure !== undefined;
  }

  /** Requests that were handed in and have no answer yet. */
  get pendingCount(): number {
    return this.#waiters.size;
  }

  prepareInputs(inputs: readonly EmbeddingInput[], maxTokens = 0): Promise<PreparedInputs> {
    const raw = inputs.map((input) => (typeof input === 'string' ? input : Int32Array.from(input)));
    return this.#prepared(() => this.#native.prepare(raw, maxTokens));
  }

  prepareRanking(query: string, documents: readonly string[]): Promise<PreparedInputs> {
    return this.#prepared(() => this.#native.prepareRanking(query, documents));
  }

  async tokenize(
    text: string,
    { addSpecial, parseSpecial }: TokenizeOptions,
  ): Promise<readonly number[]> {
    return [...(await this.#onWorker(() => this.#native.tokenize(text, addSpecial, parseSpecial)))];
  }

  detokenize(tokens: readonly number[]): Promise<Buffer> {
    return this.#onWorker(() => this.#native.detokenize(Int32Array.from(tokens)));
  }

  async embed(
    inputs: PreparedInputs,
    dimensions = this.#options.width,
    signal?: AbortSignal,
  ): Promise<readonly Float32Array[]> {
    const values = await this.#submit(inputs, dimensions, signal);
    return Array.from(inputs.tokenCounts, (_, index) =>
      values.subarray(index * dimensions, (index + 1) * dimensions),
    );
  }

  async rank(inputs: PreparedInputs, signal?: AbortSignal): Promise<readonly number[]> {
    const scores = await this.#submit(inputs, 1, signal);
    // A head with several classes gives the share of the first one already.
    if (this.#options.classCount > 1) return [...scores];
    return Array.from(scores, (score) => 1 / (1 + Math.exp(-score)));
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#keepAlive(true);
    this.#native.requestClose();
    await this.#stopped;
    await Promise.allSettled(this.#preparing);
    this.#native.release();
  }

  #submit(
    inputs: PreparedInputs,
    dimensions: number,
    signal: AbortSignal | undefined,
  ): Promise<Float32Array> {
    this.#requireRunning();
    signal?.throwIfAborted();
    this.#lastId += 1;
    const id = this.#lastId;
    const cancel = () => this.#native.cancel(id);
    // No event can come before this turn of the event loop is over.
    this.#native.submit(id, inputs.handle as object, dimensions);
    const values = new Promise<Float32Array>((resolve, reject) => {
      this.#waiters.set(id, { resolve, reject, signal });
    });
    this.#keepAlive(true);
    signal?.addEventListener('abort', cancel, { once: true });
    return values.finally(() => signal?.removeEventListener('abort', cancel));
  }

  async #prepared(start: () => Promise<NativeInputs>): Promise<PreparedInputs> {
    const prepared = await this.#onWorker(start);
    if ('handle' in prepared) return prepared;
    throw new InputError(prepared.failedIndex, prepared.reason);
  }

  async #onWorker<T>(start: () => Promise<T>): Promise<T> {
    this.#requireRunning();
    const running = start();
    this.#preparing.add(running);
    try {
      return await running;
    } finally {
      this.#preparing.delete(running);
    }
  }

  /** While it is busy an embedder keeps the process running, and itself from being collected. */
  #keepAlive(busy: boolean): void {
    this.#native.keepAlive(busy);
    if (busy) NativeEmbedder.#busy.add(this);
    else NativeEmbedder.#busy.delete(this);
  }

  #requireRunning(): void {
    if (this.#failure !== undefined) {
      throw new GatewayError('engine_failed', { cause: new Error(this.#failure) });
    }
    if (this.#closing !== undefined) throw new GatewayError('shutting_down');
  }

  /** As the engine's: the callback must not keep the embedder from being collected. */
  static #receiverOf(embedder: NativeEmbedder): (events: NativeEmbedEvents) => void {
    const reference = new WeakRef(embedder);
    return (events) => {
      const receiver = reference.deref();
      if (receiver === undefined) return;
      for (let index = 0; index < events.length; index += 2) {
        receiver.#receive(events[index] as number, events[index + 1] as NativeEmbedPayload);
      }
    };
  }

  #receive(id: number, payload: NativeEmbedPayload): void {
    switch (payload.type) {
      case 'embed-end':
        this.#end(id)?.resolve(payload.values);
        return;
      case 'embed-cancelled': {
        const waiter = this.#end(id);
        // Where nobody aborted it, the embedder was closed under it.
        waiter?.reject(
          waiter.signal?.aborted ? waiter.signal.reason : new GatewayError('shutting_down'),
        );
        return;
      }
      case 'request-error':
        this.#end(id)?.reject(failure(payload.code, payload.message));
        return;
      case 'started':
        this.#settleStarted?.resolve();
        this.#keepAlive(this.#waiters.size > 0);
        return;
      case 'failed':
        this.#failure = payload.message;
        this.#settleStarted?.reject(new Error(payload.message));
        return;
      case 'stopped':
        for (const lost of [...this.#waiters.keys()]) {
          this.#end(lost)?.reject(failure('engine_failed', 'the embedder has stopped'));
        }
        this.#settleStopped?.();
        this.#keepAlive(false);
        return;
      default:
        payload satisfies never;
    }
  }

  #end(id: number): Waiter | undefined {
    const waiter = this.#waiters.get(id);
    this.#waiters.delete(id);
    if (this.#waiters.size === 0 && this.#closing === undefined) this.#keepAlive(false);
    return waiter;
  }
}

function failure(
  code: Extract<NativeEmbedPayload, { type: 'request-error' }>['code'],
  message: string,
): GatewayError {
  const cause = new Error(message);
  if (code !== 'sequence_failed') return new GatewayError(code, { cause });
  return new GatewayError(code, { message: 'The inputs could not be computed.', cause });
}
