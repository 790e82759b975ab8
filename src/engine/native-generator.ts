/** The {@link Generator} over the addon's engine: one async iterator for each request. */
import { GatewayError } from '../core/errors.ts';
import type {
  Addon,
  EngineStarted,
  NativeCapabilities,
  NativeEngineHandle,
  NativeRequest,
  NativeRequestError,
  NativeSamplingParams,
  NativeSequenceEvent,
  NativeTokenRules,
} from './addon.ts';
import type { ChatMessage, ChatOptions, ReplyFormat } from './chat.ts';
import { completionLimit } from './completion-limit.ts';
import { type EngineOptions, nativeOptions } from './engine-options.ts';
import type { EngineStats } from './engine-stats.ts';
import { EventQueue } from './event-queue.ts';
import type {
  EngineEvent,
  EngineRequest,
  Generator,
  PlainPrompt,
  PreparedPrompt,
} from './generator.ts';
import { nativeChat } from './native-chat.ts';
import { toTokenLogprobs } from './native-logprobs.ts';
import { NativeThread } from './native-thread.ts';
import { ReplyReader } from './reply-reader.ts';
import type { SamplingDescription, SamplingParams } from './sampling-params.ts';
import { TokenInterval } from './token-interval.ts';
import type { TokenRules } from './token-rules.ts';
import type { TokenizeOptions, Tokenizer } from './tokenizer.ts';

/** Maximum events of one request that wait for their reader before its sequence is paused. */
const maxWaitingEvents = 256;

/** llama.cpp reads this seed as "random". */
const randomSeed = 0xffff_ffff;

/** A generator and its engine thread. */
export class NativeGenerator implements Generator, Tokenizer {
  readonly capabilities: NativeCapabilities;
  readonly #addon: Addon;
  readonly #options: EngineOptions;
  readonly #thread: NativeThread<
    NativeEngineHandle,
    EngineStarted,
    NativeSequenceEvent,
    EventQueue<EngineEvent>
  >;
  /** Sequences whose readers do not keep up. */
  readonly #paused = new Set<number>();
  readonly #interval: TokenInterval | undefined;
  /** Speculative decoding is on. */
  #drafts = false;
  #finalStats: EngineStats | undefined;

  constructor(addon: Addon, options: EngineOptions) {
    this.#addon = addon;
    this.#options = options;
    this.#interval = options.onInterToken && new TokenInterval(options.onInterToken);
    this.#thread = new NativeThread({
      name: 'engine',
      create: (onEvents) => new addon.Engine(nativeOptions(options), onEvents),
      onCrossing: (events) => this.#interval?.note(textIds(events)),
      onEvent: (id, event) => this.#receive(id, event),
      onFailure: options.onFailure,
      onThreadsChanged: options.onThreadsChanged,
      onStopped: () => {
        this.#finalStats = this.#currentStats();
      },
    });
    this.capabilities = this.#thread.native.capabilities();
  }

  /**
   * Resolves once the engine thread has its context.
   * @throws {Error} when the context cannot be created
   */
  async start(): Promise<EngineStarted> {
    const started = await this.#thread.start();
    this.#drafts =
      this.#options.speculative !== undefined && started.speculativeDisabledReason === '';
    return started;
  }

  async prepareChat(
    messages: readonly ChatMessage[],
    options?: ChatOptions,
  ): Promise<PreparedPrompt> {
    const prompt = await this.#onWorker('messages', (native) =>
      native.prepareChat(this.#nativeChat(messages, options)),
    );
    return { ...prompt, field: 'messages' };
  }

  renderChat(messages: readonly ChatMessage[], options?: ChatOptions): Promise<string> {
    return this.#onWorker('messages', (native) =>
      native.renderChat(this.#nativeChat(messages, options)),
    );
  }

  chatChanges(messages: readonly ChatMessage[], options?: ChatOptions): Promise<readonly string[]> {
    return this.#onWorker('messages', (native) =>
      native.chatChanges(this.#nativeChat(messages, options)),
    );
  }

  async prepare(plain: PlainPrompt, format: ReplyFormat = {}): Promise<PreparedPrompt> {
    const form = Object.keys(format).length > 0 ? JSON.stringify(format) : '';
    const prompt = await this.#onWorker('prompt', (native) => {
      if ('tokens' in plain) return native.prepareTokens(Int32Array.from(plain.tokens), form);
      if ('text' in plain) return native.prepareText(plain.text, form);
      return native.prepareInfill(plain, form);
    });
    return { ...prompt, field: 'prompt' };
  }

  describeSampling(sampling?: SamplingParams): SamplingDescription {
    return this.#addon.describeSampling(
      this.#samplingOf(sampling === undefined ? {} : { sampling }),
    );
  }

  promptTokens(prompt: PreparedPrompt): readonly number[] {
    return [...this.#thread.native.promptTokens(prompt.handle as object)];
  }

  async tokenizeWords(texts: readonly string[]): Promise<readonly (readonly number[])[]> {
    if (texts.length === 0) return [];
    const words = await this.#onWorker('text', (native) => native.tokenizeAll(texts));
    return words.map((tokens) => [...tokens]);
  }

  async tokenize(
    text: string,
    { addSpecial, parseSpecial }: TokenizeOptions,
  ): Promise<readonly number[]> {
    const tokens = await this.#onWorker('content', (native) =>
      native.tokenize(text, addSpecial, parseSpecial),
    );
    return [...tokens];
  }

  detokenize(tokens: readonly number[]): Promise<Buffer> {
    return this.#onWorker('tokens', (native) => native.detokenize(Int32Array.from(tokens)));
  }

  generate(request: EngineRequest, signal?: AbortSignal): AsyncGenerator<EngineEvent> {
    const { prompt } = request;
    const maxTokens = completionLimit({
      promptField: prompt.field,
      promptTokenCount: prompt.tokenCount,
      requestedTokenCount: request.maxTokens,
      defaultTokenCount: this.#options.defaultMaxTokens,
      contextLength: this.#options.contextLength,
    });
    return this.#run(request, maxTokens, signal);
  }

  async *#run(
    request: EngineRequest,
    maxTokens: number,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<EngineEvent> {
    const { prompt } = request;
    this.#thread.requireRunning();
    if (signal?.aborted) {
      yield cancelledBeforeSubmission(prompt.tokenCount);
      return;
    }

    const queue = new EventQueue<EngineEvent>({
      high: maxWaitingEvents,
      onPause: (paused) => this.#pause(id, paused),
    });
    const send = (newId: number) =>
      this.#thread.native.submit(
        newId,
        prompt.handle as object,
        this.#nativeRequest(request, maxTokens),
      );
    const id = this.#thread.submit(queue, send, signal);
    const reader = prompt.structured
      ? new ReplyReader(new this.#addon.ReplyParser(prompt.handle as object))
      : undefined;
    let ended = false;
    try {
      while (!ended) {
        const events = await queue.takeAll();
        for (const event of (await reader?.read(events)) ?? events) {
          ended = event.type === 'sequence-end';
          yield event;
        }
      }
    } finally {
      if (!ended) this.#thread.native.cancel(id);
    }
  }

  stats(): EngineStats {
    return this.#finalStats ?? this.#currentStats();
  }

  /** Ends every sequence as `cancelled`, joins the engine thread and frees its context. Idempotent. */
  close(): Promise<void> {
    return this.#thread.close();
  }

  #currentStats(): EngineStats {
    const awaitedCount = this.#thread.pendingCount - this.#paused.size;
    return { ...this.#thread.native.stats(), awaitedCount };
  }

  /** Runs a native call on a worker thread. The call fails only because of the client's input. */
  async #onWorker<T>(param: string, call: (native: NativeEngineHandle) => Promise<T>): Promise<T> {
    this.#thread.requireRunning();
    try {
      return await this.#thread.onWorker(() => call(this.#thread.native));
    } catch (cause) {
      if (isRefusal(cause)) {
        const { param: field, message } = cause;
        throw new GatewayError('bad_request', { param: field, message, cause });
      }
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new GatewayError('bad_request', {
        param,
        message: `\`${param}\` could not be made into tokens: ${reason}`,
        cause,
      });
    }
  }

  #nativeChat(messages: readonly ChatMessage[], options: ChatOptions = {}): string {
    const thinking = options.thinking ?? this.#options.thinking;
    return nativeChat(messages, { ...options, thinking });
  }

  #nativeRequest(request: EngineRequest, maxTokens: number): NativeRequest {
    const { prompt: _, stop, tokenRules, cacheScope, ...rest } = request;
    return {
      ...rest,
      maxTokens,
      stops: stop ?? [],
      sampling: this.#samplingOf(request),
      cacheScope: cacheScope ?? '',
      ...(tokenRules && { tokenRules: toNativeRules(tokenRules) }),
    };
  }

  #samplingOf({ sampling }: Pick<EngineRequest, 'sampling'>): NativeSamplingParams {
    const { seed, ...rest } = { ...this.#options.samplingDefaults, ...sampling };
    return seed === undefined ? rest : { ...rest, seed: foldSeed(seed) };
  }

  #pause(id: number, paused: boolean): void {
    if (paused && this.#thread.request(id) !== undefined) this.#paused.add(id);
    else this.#paused.delete(id);
    this.#thread.native.pause(id, paused);
  }

  #receive(id: number, event: NativeSequenceEvent): void {
    if (typeof event === 'string') {
      this.#thread.request(id)?.push({ type: 'text-delta', text: event });
      return;
    }
    switch (event.type) {
      case 'prompt-logprobs': {
        const tokens = toTokenLogprobs(event.tokens);
        this.#thread.request(id)?.push({ type: 'prompt-delta', tokens });
        return;
      }
      case 'text-tokens': {
        const { text, tokens, ids } = event;
        this.#thread.request(id)?.push({
          type: 'text-delta',
          text,
          ...(tokens && { tokens: toTokenLogprobs(tokens) }),
          ...(ids && { ids: [...ids] }),
        });
        return;
      }
      case 'prompt-progress':
        this.#thread.request(id)?.push(event);
        return;
      case 'sequence-end':
        this.#end(id)?.push(this.#toSequenceEnd(event));
        return;
      case 'request-error':
        this.#end(id)?.fail(toGatewayError(event));
        return;
      default:
        event satisfies never;
    }
  }

  #end(id: number): EventQueue<EngineEvent> | undefined {
    this.#interval?.forget(id);
    this.#paused.delete(id);
    return this.#thread.end(id);
  }

  #toSequenceEnd(event: Extract<NativeSequenceEvent, { type: 'sequence-end' }>): EngineEvent {
    const { promptTokenCount, cachedTokenCount, completionTokenCount, reasoningTokenCount } = event;
    const { finishReason, totalLogprob, draftedTokenCount, acceptedTokenCount } = event;
    const { stopText, stopToken, ids } = event;
    return {
      type: 'sequence-end',
      finishReason,
      ...(stopText !== undefined && { stopText }),
      ...(stopToken !== undefined && { stopToken }),
      ...(ids && { ids: [...ids] }),
      usage: { promptTokenCount, cachedTokenCount, completionTokenCount, reasoningTokenCount },
      timings: {
        queueMs: event.queueMs,
        prefillMs: event.prefillMs,
        decodeMs: event.decodeMs,
      },
      ...(totalLogprob !== undefined && { totalLogprob }),
      ...(this.#drafts && { drafts: { draftedTokenCount, acceptedTokenCount } }),
    };
  }
}

/** True if the addon refuses a request, with a whole sentence and the field that it is about. */
function isRefusal(cause: unknown): cause is Error & { readonly param: string } {
  return cause instanceof Error && 'param' in cause && typeof cause.param === 'string';
}

/** The sequence of each text of one crossing. */
function* textIds(events: readonly unknown[]): Iterable<number> {
  for (let index = 0; index < events.length; index += 2) {
    const event = events[index + 1] as string | { readonly type: string };
    const isText = typeof event === 'string' || event.type === 'text-tokens';
    if (isText) yield events[index] as number;
  }
}

function toNativeRules(rules: TokenRules): NativeTokenRules {
  const { stopTokens, minTokens, allowedTokens, badWords } = rules;
  return {
    ...(stopTokens && { stopTokens: Int32Array.from(stopTokens) }),
    ...(minTokens !== undefined && { minTokens }),
    ...(allowedTokens && { allowedTokens: Int32Array.from(allowedTokens) }),
    ...(badWords && { badWords: badWords.map((word) => Int32Array.from(word)) }),
  };
}

/** The end of a request whose signal aborted before it was submitted. */
function cancelledBeforeSubmission(promptTokenCount: number): EngineEvent {
  return {
    type: 'sequence-end',
    finishReason: 'cancelled',
    usage: {
      promptTokenCount,
      cachedTokenCount: 0,
      completionTokenCount: 0,
      reasoningTokenCount: 0,
    },
    timings: { queueMs: 0, prefillMs: 0, decodeMs: 0 },
  };
}

/** Folds a 64-bit seed to llama.cpp's 32 bits, avoiding the value that means "random". */
function foldSeed(seed: bigint): number {
  const folded = Number(BigInt.asUintN(32, seed ^ (seed >> 32n)));
  return folded === randomSeed ? randomSeed - 1 : folded;
}

function toGatewayError({ code, message }: NativeRequestError): GatewayError {
  return code === 'bad_request'
    ? new GatewayError(code, { message })
    : new GatewayError(code, { cause: new Error(message) });
}
