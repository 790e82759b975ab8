/**
 * The {@link Engine} over the addon, and its {@link Generator}: one stream of events in, one async iterator per
 * request out.
 */
import { availableParallelism } from 'node:os';
import type { LlamaModel } from 'node-llama-cpp';
import { GatewayError } from '../core/errors.ts';
import { computeThreadCount } from '../model/machine.ts';
import {
  type Addon,
  loadAddon,
  type NativeEngineHandle,
  type NativeEngineOptions,
  type NativeEvents,
  type NativePayload,
  type NativeSamplingParams,
  variantOf,
} from './addon.ts';
import { addonModelOf } from './addon-model.ts';
import type { ChatMessage, ChatOptions, Tool } from './chat.ts';
import { completionLimit } from './completion-limit.ts';
import type { Engine, EngineInfo, EngineStats, GeneratingEngine } from './engine.ts';
import { EventQueue } from './event-queue.ts';
import type {
  EngineEvent,
  EngineRequest,
  Generator,
  PlainPrompt,
  PreparedPrompt,
} from './generator.ts';
import {
  type EmbeddingOptions,
  embeddingCapabilities,
  LazyEmbedder,
  type LazyEmbedderOptions,
  nicenessBesideAGenerator,
} from './lazy-embedder.ts';
import { toTokenLogprobs } from './native-logprobs.ts';
import { ReplyReader } from './reply-reader.ts';
import type { SamplingParams } from './sampling-params.ts';
import type { TokenizeOptions, Tokenizer } from './tokenizer.ts';

/** How an engine is set up. Numbers were fitted to memory and checked. */
export interface EngineOptions {
  readonly model: LlamaModel;
  /** `llama.gpu`: which backend node-llama-cpp chose; false is the CPU. */
  readonly llamaGpu: 'cuda' | 'metal' | 'vulkan' | false;
  readonly slotCount: number;
  /** Tokens one request may use. */
  readonly contextLength: number;
  /** KV cells all sequences share. */
  readonly kvTokenCount: number;
  /** Compute threads; 0 chooses. */
  readonly threadCount: number;
  /** ggml's busy-wait of the compute threads between graphs, 0 (sleep at once, the default) to 100. */
  readonly threadPoll?: number;
  /** Processors the compute threads may run on; left out or empty: any. */
  readonly processors?: readonly number[] | undefined;
  /** Threads that choose tokens; left out: as many as compute. */
  readonly samplingThreadCount?: number;
  readonly batchSize: number;
  readonly ubatchSize: number;
  /**
   * One KV cache for all sequences, or a part for each slot; `auto`, the default, is split. Split needs room
   * for a whole context in every slot; where there is less the cache is unified whatever this says.
   */
  readonly kvLayout?: 'auto' | 'unified' | 'split';
  /** By how much a prompt may delay a step in which others decode, in milliseconds, above 0; default 50. */
  readonly stepTargetMs?: number;
  /**
   * For so many milliseconds texts may wait for those of the next steps, to come in one turn of the event loop;
   * default 0. The first one of a sequence never waits, nor does one that others do not follow.
   */
  readonly streamIntervalMs?: number;
  /** `auto` is off for narrow heads on a CPU, else llama.cpp's choice. */
  readonly flashAttention: 'auto' | 'on' | 'off';
  readonly cacheTypeK: string;
  readonly cacheTypeV: string;
  /**
   * Whether long prompts may be computed in a context of their own, between the steps of others, which has the
   * memory of one more slot; default false. It is done on a CPU with a split KV cache of two slots or more.
   */
  readonly backgroundPrefill?: boolean;
  /** Guess tokens and check several in one step; left out: every token takes a step. */
  readonly speculative?: SpeculativeOptions | undefined;
  /** Jinja text that replaces the model's own chat template. */
  readonly chatTemplate?: string | undefined;
  /** Whether chats that do not say reason; left out: as the template does by itself. */
  readonly thinking?: boolean | undefined;
  /** Completion tokens of requests that name no limit. */
  readonly defaultMaxTokens: number;
  /** Sampling parameters of requests that do not say. */
  readonly samplingDefaults: SamplingParams;
  /**
   * Called with the milliseconds between two pieces of text of one sequence, as they leave the engine; pieces that
   * leave together share the time since those before. Only tokens that complete a character make a piece.
   */
  readonly onInterToken?: (ms: number) => void;
  /** How texts are embedded; left out: as {@link defaultEmbedding} says. */
  readonly embedding?: EmbeddingOptions;
  /** Called once if the engine breaks after it has started; it answers nothing any more. */
  readonly onFailure?: (reason: string) => void;
}

/** What tokens are guessed with. */
export interface SpeculativeOptions {
  readonly kind: 'ngram' | 'draft';
  /** The draft model; only with `draft`. It must outlive the engine. */
  readonly model?: LlamaModel | undefined;
  /** Tokens of a guess, 1 to 64. */
  readonly minTokens: number;
  readonly maxTokens: number;
  /** Tokens in a row that are looked up. */
  readonly ngramSize: number;
  /** Least probability of a token the draft model guesses, 0 to 1. */
  readonly minProbability: number;
}

/** The draft model cannot guess for the model. */
export class DraftModelError extends Error {
  /** The end of a sentence about the draft model. */
  readonly problem: string;

  constructor(problem: string) {
    super(`the draft model ${problem}`);
    this.name = 'DraftModelError';
    this.problem = problem;
  }
}

type SequenceErrorCode = Extract<NativePayload, { type: 'request-error' }>['code'];

/** Events one request may have waiting before its sequence is held. */
const queueHigh = 256;

/** llama.cpp reads this seed as "choose one". */
const randomSeed = 0xffff_ffff;

/**
 * Starts an engine on a loaded model.
 * @throws {DraftModelError} when the draft model does not fit the model
 * @throws {Error} when the context cannot be created, or the chat template does not parse
 */
export async function createNativeEngine(options: EngineOptions): Promise<GeneratingEngine> {
  const generator = new NativeGenerator(options);
  try {
    await generator.started;
  } catch (error) {
    await generator.close();
    throw error;
  }
  const { model } = options;
  const { info, addon } = generator;
  const embedding = options.embedding ?? defaultEmbedding(info.contextLength);
  const embedder = new LazyEmbedder(addon, {
    ...options,
    threadCount: chosenThreadCount(options.threadCount),
    embedding,
    niceness: nicenessBesideAGenerator,
  });
  return {
    info: { ...info, embedding: embeddingCapabilities(addon, model, embedding) },
    generator,
    embedder,
    tokenizer: generator,
    stats: () => generator.stats(),
    close: async () => {
      await Promise.all([generator.close(), embedder.close()]);
    },
  };
}

/** Options of an engine that only embeds or ranks. Numbers were fitted to memory and validated. */
export interface EmbeddingEngineOptions extends Omit<LazyEmbedderOptions, 'niceness'> {
  /** `llama.gpu`: the backend that node-llama-cpp chose; false is the CPU. */
  readonly llamaGpu: EngineOptions['llamaGpu'];
}

/**
 * Starts an engine without generator on a loaded model.
 * @throws {Error} when its context cannot be created
 */
export async function createEmbeddingEngine(options: EmbeddingEngineOptions): Promise<Engine> {
  const { model, embedding } = options;
  const backend = variantOf(options.llamaGpu);
  const addon = loadAddon(backend);
  const embedder = new LazyEmbedder(addon, { ...options, niceness: 0 });
  await embedder.start();
  return {
    info: {
      backend,
      slotCount: 1,
      contextLength: embedding.contextLength,
      defaultMaxTokens: 0,
      kvTokenCount: embedding.contextLength,
      vocabularySize: addon.Embedder.abilities(addonModelOf(model)).vocabularySize,
      infill: false,
      chat: { tools: false, thinking: false, thinksByDefault: false },
      embedding: embeddingCapabilities(addon, model, embedding),
    },
    generator: undefined,
    embedder,
    tokenizer: embedder,
    stats: () => embedder.stats(),
    close: () => embedder.close(),
  };
}

/** What a request comes to whose client left before it was submitted. */
function cancelledAtOnce(promptTokenCount: number): EngineEvent {
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

class NativeGenerator implements Generator, Tokenizer {
  /** Those that will be heard of again, though perhaps nobody else holds them. */
  static readonly #busy = new Set<NativeGenerator>();

  info: Omit<EngineInfo, 'embedding'>;
  readonly addon: Addon;
  /** Settles once the native thread has its context, or has failed to get one. */
  readonly started: Promise<void>;
  readonly #options: EngineOptions;
  readonly #native: NativeEngineHandle;
  readonly #sequences = new Map<number, EventQueue<EngineEvent>>();
  /** Those among them whose readers do not keep up. */
  readonly #held = new Set<number>();
  /** When each running sequence last gave a piece of text. */
  readonly #lastTextAt = new Map<number, number>();
  readonly #preparing = new Set<Promise<unknown>>();
  readonly #stopped: Promise<void>;
  #settleStarted: { resolve: () => void; reject: (error: Error) => void } | undefined;
  #settleStopped: (() => void) | undefined;
  #lastId = 0;
  /** The context exists. */
  #running = false;
  #failure: string | undefined;
  #closing: Promise<void> | undefined;
  #lastStats: EngineStats | undefined;

  constructor(options: EngineOptions) {
    this.#options = options;
    const { slotCount, kvTokenCount } = options;
    const backend = variantOf(options.llamaGpu);
    const contextLength = Math.min(options.contextLength, kvTokenCount);
    this.started = new Promise((resolve, reject) => {
      this.#settleStarted = { resolve, reject };
    });
    this.#stopped = new Promise((resolve) => {
      this.#settleStopped = resolve;
    });
    this.addon = loadAddon(backend);
    requireDraftModel(this.addon, options);
    this.#native = new this.addon.Engine(
      nativeOptions({ ...options, contextLength }),
      NativeGenerator.#receiverOf(this),
    );
    const { vocabularySize, infill, ...chat } = this.#native.abilities();
    this.info = {
      backend,
      slotCount,
      contextLength,
      defaultMaxTokens: options.defaultMaxTokens,
      kvTokenCount,
      vocabularySize,
      infill,
      chat,
    };
    this.#keepAlive(true);
  }

  async prepareChat(
    messages: readonly ChatMessage[],
    options?: ChatOptions,
  ): Promise<PreparedPrompt> {
    const prompt = await this.#onWorker('messages', () =>
      this.#native.prepareChat(this.#nativeChat(messages, options)),
    );
    return { ...prompt, field: 'messages' };
  }

  renderChat(messages: readonly ChatMessage[], options?: ChatOptions): Promise<string> {
    return this.#onWorker('messages', () =>
      this.#native.renderChat(this.#nativeChat(messages, options)),
    );
  }

  async prepare(plain: PlainPrompt): Promise<PreparedPrompt> {
    const prompt = await this.#onWorker('prompt', () => {
      if ('tokens' in plain) return this.#native.prepareTokens(Int32Array.from(plain.tokens));
      if ('text' in plain) return this.#native.prepareText(plain.text);
      return this.#native.prepareInfill(plain.prefix, plain.suffix);
    });
    return { ...prompt, field: 'prompt' };
  }

  async tokenize(
    text: string,
    { addSpecial, parseSpecial }: TokenizeOptions,
  ): Promise<readonly number[]> {
    return [
      ...(await this.#onWorker('content', () =>
        this.#native.tokenize(text, addSpecial, parseSpecial),
      )),
    ];
  }

  detokenize(tokens: readonly number[]): Promise<Buffer> {
    return this.#onWorker('tokens', () => this.#native.detokenize(Int32Array.from(tokens)));
  }

  /** Runs a native call that works on another thread; what it refuses is the client's fault. */
  async #onWorker<T>(param: string, start: () => Promise<T>): Promise<T> {
    this.#requireRunning();
    const running = start();
    this.#preparing.add(running);
    try {
      return await running;
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new GatewayError('bad_request', {
        param,
        message: `\`${param}\` could not be made into tokens: ${reason}`,
        cause,
      });
    } finally {
      this.#preparing.delete(running);
    }
  }

  #nativeChat(messages: readonly ChatMessage[], options: ChatOptions = {}): string {
    return nativeChat(messages, {
      ...options,
      thinking: options.thinking ?? this.#options.thinking,
    });
  }

  generate(request: EngineRequest, signal?: AbortSignal): AsyncGenerator<EngineEvent> {
    const { prompt } = request;
    const maxTokens = completionLimit({
      promptField: prompt.field,
      promptTokenCount: prompt.tokenCount,
      requestedTokenCount: request.maxTokens,
      defaultTokenCount: this.#options.defaultMaxTokens,
      contextLength: this.info.contextLength,
    });
    return this.#run(request, maxTokens, signal);
  }

  async *#run(
    request: EngineRequest,
    maxTokens: number,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<EngineEvent> {
    const { prompt } = request;
    this.#requireRunning();
    if (signal?.aborted) {
      yield cancelledAtOnce(prompt.tokenCount);
      return;
    }

    this.#lastId += 1;
    const id = this.#lastId;
    const queue = new EventQueue<EngineEvent>({
      high: queueHigh,
      onHold: (held) => {
        if (held && this.#sequences.has(id)) this.#held.add(id);
        else this.#held.delete(id);
        this.#native.hold(id, held);
      },
    });
    const cancel = () => this.#native.cancel(id);
    // No event can come before this turn of the event loop is over.
    this.#native.submit(
      id,
      prompt.handle as object,
      maxTokens,
      request.stop ?? [],
      this.#samplingOf(request),
      request.cacheScope ?? '',
      request.logprobs,
    );
    this.#sequences.set(id, queue);
    this.#keepAlive(true);
    signal?.addEventListener('abort', cancel, { once: true });
    const reader = prompt.structured
      ? new ReplyReader(new this.addon.ReplyParser(prompt.handle as object))
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
      signal?.removeEventListener('abort', cancel);
      if (!ended) cancel();
    }
  }

  stats(): EngineStats {
    if (this.#lastStats !== undefined) return this.#lastStats;
    return this.#nativeStats();
  }

  #nativeStats(): EngineStats {
    const awaitedCount = this.#sequences.size - this.#held.size;
    return { ...this.#native.stats(), awaitedCount };
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
    this.#lastStats = this.#nativeStats();
    this.#native.release();
  }

  /** While it is busy an engine keeps the process running, and itself from being collected. */
  #keepAlive(busy: boolean): void {
    this.#native.keepAlive(busy);
    if (busy) NativeGenerator.#busy.add(this);
    else NativeGenerator.#busy.delete(this);
  }

  #requireRunning(): void {
    if (this.#failure !== undefined) {
      throw new GatewayError('engine_failed', { cause: new Error(this.#failure) });
    }
    if (this.#closing !== undefined) throw new GatewayError('shutting_down');
  }

  #samplingOf(request: EngineRequest): NativeSamplingParams {
    const { seed, ...rest } = { ...this.#options.samplingDefaults, ...request.sampling };
    return seed === undefined ? rest : { ...rest, seed: foldSeed(seed) };
  }

  /**
   * The callback that the native side keeps. It must not keep the engine with it, or one that was
   * forgotten would never be collected; a function of its own, so that it closes over nothing else.
   */
  static #receiverOf(engine: NativeGenerator): (events: NativeEvents) => void {
    const reference = new WeakRef(engine);
    return (events) => {
      const receiver = reference.deref();
      if (receiver !== undefined) receiver.#receive(events);
    };
  }

  #receive(events: NativeEvents): void {
    this.#observeTexts(events);
    for (let index = 0; index < events.length; index += 2) {
      const id = events[index] as number;
      const payload = events[index + 1] as string | NativePayload;
      if (typeof payload === 'string') {
        this.#sequences.get(id)?.push({ type: 'text-delta', text: payload });
      } else {
        this.#receivePayload(id, payload);
      }
    }
  }

  #observeTexts(events: NativeEvents): void {
    const now = performance.now();
    const counts = new Map<number, number>();
    for (let index = 0; index < events.length; index += 2) {
      if (typeof events[index + 1] !== 'string') continue;
      const id = events[index] as number;
      counts.set(id, (counts.get(id) ?? 0) + 1);
    }
    for (const [id, count] of counts) {
      const lastAt = this.#lastTextAt.get(id);
      this.#lastTextAt.set(id, now);
      if (lastAt === undefined) continue;
      for (let i = 0; i < count; i++) this.#options.onInterToken?.((now - lastAt) / count);
    }
  }

  #receivePayload(id: number, payload: NativePayload): void {
    switch (payload.type) {
      case 'scored-prompt':
        this.#sequences
          .get(id)
          ?.push({ type: 'prompt-delta', tokens: toTokenLogprobs(payload.tokens) });
        return;
      case 'scored-text': {
        const { text, tokens } = payload;
        this.#sequences
          .get(id)
          ?.push({ type: 'text-delta', text, tokens: toTokenLogprobs(tokens) });
        return;
      }
      case 'sequence-end': {
        const { promptTokenCount, cachedTokenCount } = payload;
        const { completionTokenCount, reasoningTokenCount, totalLogprob } = payload;
        const { draftedTokenCount, acceptedTokenCount } = payload;
        this.#endSequence(id)?.push({
          type: 'sequence-end',
          finishReason: payload.finishReason,
          usage: { promptTokenCount, cachedTokenCount, completionTokenCount, reasoningTokenCount },
          timings: {
            queueMs: payload.queueMs,
            prefillMs: payload.prefillMs,
            decodeMs: payload.decodeMs,
          },
          ...(totalLogprob !== undefined && { totalLogprob }),
          ...(this.info.speculative && { drafts: { draftedTokenCount, acceptedTokenCount } }),
        });
        return;
      }
      case 'request-error':
        this.#endSequence(id)?.fail(sequenceError(payload.code, payload.message));
        return;
      case 'started':
        this.#running = true;
        this.info = {
          ...this.info,
          ...speculation(this.#options.speculative, payload.noDrafts),
          backgroundPrefill: payload.promptLane,
          ...(payload.noPromptLane !== '' && {
            backgroundPrefillDisabledReason: payload.noPromptLane,
          }),
        };
        this.#settleStarted?.resolve();
        this.#keepAlive(this.#sequences.size > 0);
        return;
      case 'failed':
        this.#failure = payload.message;
        if (this.#running) this.#options.onFailure?.(payload.message);
        else this.#settleStarted?.reject(new Error(payload.message));
        return;
      case 'stopped':
        for (const lost of [...this.#sequences.keys()]) {
          this.#endSequence(lost)?.fail(sequenceError('engine_failed', 'the engine has stopped'));
        }
        this.#settleStopped?.();
        this.#keepAlive(false);
        return;
      default:
        payload satisfies never;
    }
  }

  #endSequence(id: number): EventQueue<EngineEvent> | undefined {
    const queue = this.#sequences.get(id);
    this.#sequences.delete(id);
    this.#lastTextAt.delete(id);
    this.#held.delete(id);
    if (this.#sequences.size === 0 && this.#closing === undefined) this.#keepAlive(false);
    return queue;
  }
}

/** Compute threads where `threadCount` leaves the choice. */
export function chosenThreadCount(threadCount: number): number {
  return threadCount || computeThreadCount(availableParallelism());
}

/** What a model that says nothing of embeddings is embedded with. */
function defaultEmbedding(contextLength: number): EmbeddingOptions {
  return { pooling: 'mean', contextLength, wholeInputs: false };
}

/** The options as the addon takes them: a setting of its own passes through, whatever its name. */
function nativeOptions(options: EngineOptions): NativeEngineOptions {
  const threadCount = chosenThreadCount(options.threadCount);
  return {
    ...options,
    model: addonModelOf(options.model),
    chatTemplate: options.chatTemplate ?? '',
    threadCount,
    samplingThreadCount: options.samplingThreadCount ?? threadCount,
    flashAttention: chosenFlashAttention(options),
    speculative: options.speculative && nativeSpeculative(options.speculative),
  };
}

/**
 * Heads below this width are computed faster without flash attention on a CPU, whose kernel has a cost for each
 * head and cell that does not shrink with them: docs/performance.md.
 */
const leastFlashHeadWidth = 64;

function chosenFlashAttention(options: EngineOptions): EngineOptions['flashAttention'] {
  const { flashAttention, llamaGpu, model, cacheTypeV } = options;
  // A quantized V cache is possible only with it.
  const isFree = flashAttention === 'auto' && ['f32', 'f16', 'bf16'].includes(cacheTypeV);
  if (!isFree || llamaGpu !== false) return flashAttention;
  const { embedding_length: width, attention } = model.fileInfo.architectureMetadata;
  const [headCount] = [attention?.head_count ?? 1].flat();
  const headWidth = attention?.key_length ?? (width ?? 0) / (headCount ?? 1);
  return headWidth > 0 && headWidth < leastFlashHeadWidth ? 'off' : flashAttention;
}

function nativeSpeculative({ model, ...rest }: SpeculativeOptions) {
  return { ...rest, ...(model && { model: addonModelOf(model) }) };
}

function speculation(options: SpeculativeOptions | undefined, noDrafts: string) {
  if (options === undefined) return {};
  return noDrafts === '' ? { speculative: options.kind } : { speculativeDisabledReason: noDrafts };
}

/** @throws {DraftModelError} */
function requireDraftModel({ Engine: native }: Addon, { model, speculative }: EngineOptions): void {
  if (speculative?.model === undefined) return;
  const problem = native.draftProblem(addonModelOf(model), addonModelOf(speculative.model));
  if (problem !== '') throw new DraftModelError(problem);
}

/** A chat as JSON: messages and tools in the form of OpenAI's API, which llama.cpp reads; chat.h has the other names. */
function nativeChat(
  messages: readonly ChatMessage[],
  options: Omit<ChatOptions, 'thinking'> & { readonly thinking: boolean | undefined },
): string {
  const { tools, ...rest } = options;
  return JSON.stringify({
    ...rest,
    messages,
    tools: tools?.map(({ enforced: _, ...shown }) => nativeTool(shown)),
    ...(tools?.some(({ enforced }) => enforced !== undefined) && {
      enforcedTools: tools.map(({ enforced, ...shown }) =>
        nativeTool(enforced === undefined ? shown : { ...shown, parameters: enforced }),
      ),
    }),
  });
}

function nativeTool(tool: Tool) {
  return { type: 'function', function: tool };
}

/** Any 64-bit seed to llama.cpp's 32 bits, without meeting the value that means "random". */
function foldSeed(seed: bigint): number {
  const folded = Number(BigInt.asUintN(32, seed ^ (seed >> 32n)));
  return folded === randomSeed ? randomSeed - 1 : folded;
}

function sequenceError(code: SequenceErrorCode, message: string): GatewayError {
  return code === 'bad_request'
    ? new GatewayError(code, { message })
    : new GatewayError(code, { cause: new Error(message) });
}
