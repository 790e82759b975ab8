import type { ChatMessage, ChatOptions, ReplyFormat } from '../../src/engine/chat.ts';
import { completionLimit } from '../../src/engine/completion-limit.ts';
import type {
  Embedder,
  EmbeddingInput,
  PreparedInputs,
  RankOptions,
} from '../../src/engine/embedder.ts';
import type { Engine, EngineInfo } from '../../src/engine/engine.ts';
import { type EngineStats, zeroStats } from '../../src/engine/engine-stats.ts';
import type {
  EngineEvent,
  EngineRequest,
  FinishReason,
  Generator,
  PlainPrompt,
  PreparedPrompt,
  ReplyDelta,
  SequenceTimings,
} from '../../src/engine/generator.ts';
import type { TokenLogprob } from '../../src/engine/logprobs.ts';
import type { SamplingDescription, SamplingParams } from '../../src/engine/sampling-params.ts';
import type { TokenizeOptions, Tokenizer } from '../../src/engine/tokenizer.ts';

/** What the fake does with each request; a test replaces any part of it. */
export interface FakeScript {
  /** What the reply is made of; a text is a `text-delta`. */
  parts: readonly (string | ReplyDelta)[];
  finishReason: FinishReason;
  /** Tokens of every prompt that is to be scored, each an event of its own. */
  promptTokens?: readonly TokenLogprob[];
  /** What each request in its turn says instead of `parts`, and how likely that was in all. */
  takes?: readonly { readonly text: string; readonly totalLogprob: number }[];
  /** Events of a prompt whose progress is to be reported. */
  progress?: readonly Extract<EngineEvent, { type: 'prompt-progress' }>[];
  /** What ended each sequence. */
  ending?: { readonly stopText?: string; readonly stopToken?: number };
  /** Tokens that come with the end. */
  endTokens?: readonly TokenLogprob[];
  /** What comes with the end: the text that stopped it, the ids of tokens without text. */
  end?: { readonly stopText?: string; readonly ids?: readonly number[] };
  timings: SequenceTimings;
  cachedTokenCount: number;
  reasoningTokenCount: number;
  /** Awaited before the event of that index, unless the request is aborted first. */
  beforeEvent?: (index: number) => Promise<void> | undefined;
  /** Thrown in place of the event of that index; the index after the last text is the end. */
  failure?: { readonly at: number; readonly error: unknown };
  /** Awaited by `prepareChat` and `prepare`. */
  prepare?: () => Promise<void>;
  /** Bytes of the first tokens; others are their number. */
  pieces?: readonly Buffer[];
  /** Prompts are as if a part of them had been left out. */
  cutPrompts?: boolean;
  /** Thrown by the call of `prepare` of that index. */
  prepareFailure?: (index: number) => Error | undefined;
  /** Thrown by `prepareInputs` and `prepareRanking`. */
  inputFailure?: Error;
  /** Awaited by `embed` and `rank`, unless the request is aborted first. */
  beforeVectors?: () => Promise<void>;
  /** What `rank` gives. */
  scores?: readonly number[];
}

interface Waiter {
  readonly condition: () => boolean;
  readonly resolve: () => void;
}

/** What a fake engine says of itself, where it is not the usual. */
export interface FakeInfo extends Partial<EngineInfo> {
  /** Default true. */
  readonly generates?: boolean;
}

/** An engine without a model: it replies by its script and records its requests. It is each of its parts. */
export class FakeEngine implements Engine, Generator, Embedder, Tokenizer {
  readonly info: EngineInfo;
  static readonly #info: EngineInfo = {
    backend: 'fake',
    slotCount: 4,
    contextLength: 2048,
    defaultMaxTokens: 1024,
    kvTokenCount: 8192,
    vocabularySize: 32_000,
    infill: true,
    chat: { tools: true, thinking: true, thinksByDefault: false },
    embedding: { pooling: 'mean', width: 8, contextLength: 16 },
  };
  readonly script: FakeScript = {
    parts: ['Hello', ' world'],
    finishReason: 'stop',
    timings: { queueMs: 0, prefillMs: 0, decodeMs: 0 },
    cachedTokenCount: 0,
    reasoningTokenCount: 0,
  };
  readonly preparedChats: (readonly ChatMessage[])[] = [];
  readonly chatOptions: (ChatOptions | undefined)[] = [];
  readonly requests: EngineRequest[] = [];
  /** Finish reasons of the sequences that ended, in that order. */
  readonly endings: (FinishReason | 'error')[] = [];
  /** Events taken from the engine so far, over all requests. */
  eventCount = 0;
  closed = false;
  #runningCount = 0;
  readonly #waiters = new Set<Waiter>();

  readonly generator: Generator | undefined;
  readonly embedder: Embedder = this;
  readonly tokenizer: Tokenizer = this;

  constructor({ generates = true, ...info }: FakeInfo = {}) {
    // A test may change it.
    this.info = structuredClone({ ...FakeEngine.#info, ...info });
    this.generator = generates ? this : undefined;
  }

  /** Clears the record of calls. */
  forgetCalls(): void {
    for (const calls of [
      this.preparedChats,
      this.chatOptions,
      this.requests,
      this.plainPrompts,
      this.plainFormats,
      this.tokenizeCalls,
      this.endings,
    ]) {
      calls.length = 0;
    }
    this.eventCount = 0;
  }

  async prepareChat(
    messages: readonly ChatMessage[],
    options?: ChatOptions,
  ): Promise<PreparedPrompt> {
    this.preparedChats.push(messages);
    this.chatOptions.push(options);
    this.#changed();
    await this.script.prepare?.();
    const tokenCount = messages.flatMap(({ content }) => words(content)).length;
    return { field: 'messages', tokenCount, structured: false, handle: messages };
  }

  readonly plainPrompts: PlainPrompt[] = [];

  /** The formats of the plain prompts. */
  readonly plainFormats: (ReplyFormat | undefined)[] = [];

  async prepare(prompt: PlainPrompt, format?: ReplyFormat): Promise<PreparedPrompt> {
    this.plainPrompts.push(prompt);
    this.plainFormats.push(format);
    const failure = this.script.prepareFailure?.(this.plainPrompts.length - 1);
    await this.script.prepare?.();
    if (failure !== undefined) throw failure;
    const texts = Object.values(prompt).filter((value) => typeof value === 'string');
    const tokens = 'tokens' in prompt ? prompt.tokens : words(texts.join(' '));
    return {
      ...{ field: 'prompt', tokenCount: tokens.length, structured: false, handle: prompt },
      ...(this.script.cutPrompts === true && { cut: true }),
    };
  }

  async renderChat(messages: readonly ChatMessage[], options?: ChatOptions): Promise<string> {
    this.chatOptions.push(options);
    return messages.map(({ role, content }) => `${role}: ${content}\n`).join('');
  }

  describeSampling(sampling: SamplingParams = {}): SamplingDescription {
    return { temperature: sampling.temperature ?? 0.8, samplers: ['top_k', 'temperature'] };
  }

  promptTokens(prompt: PreparedPrompt): readonly number[] {
    return Array.from({ length: prompt.tokenCount }, (_, index) => index + 1);
  }

  /** A word is its first byte; with a space before it, a hundred more. */
  async tokenizeWords(texts: readonly string[]): Promise<readonly (readonly number[])[]> {
    return texts.map((text) =>
      words(text).map((word, at) => idOf(word) + (at === 0 && text.startsWith(' ') ? 100 : 0)),
    );
  }

  async chatChanges(messages: readonly ChatMessage[]): Promise<readonly string[]> {
    const systemCount = messages.filter(({ role }) => role === 'system').length;
    return systemCount > 1 ? ['system-joined'] : [];
  }

  readonly tokenizeCalls: { text: string; addSpecial: boolean; parseSpecial: boolean }[] = [];

  /** Words, by their number. */
  async tokenize(text: string, options: TokenizeOptions): Promise<readonly number[]> {
    this.tokenizeCalls.push({ text, ...options });
    return words(text).map((_, index) => index);
  }

  async detokenize(tokens: readonly number[]): Promise<Buffer> {
    return Buffer.concat(
      tokens.map((token) => this.script.pieces?.[token] ?? Buffer.from(` ${token}`)),
    );
  }

  generate(request: EngineRequest, signal?: AbortSignal): AsyncGenerator<EngineEvent> {
    completionLimit({
      promptField: request.prompt.field,
      promptTokenCount: request.prompt.tokenCount,
      requestedTokenCount: request.maxTokens,
      defaultTokenCount: this.info.defaultMaxTokens,
      contextLength: this.info.contextLength,
    });
    return this.#run(request, signal);
  }

  async *#run(
    request: EngineRequest,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<EngineEvent> {
    const { finishReason, beforeEvent } = this.script;
    const take = this.script.takes?.[this.requests.length];
    const parts = take === undefined ? this.script.parts : [take.text];
    this.requests.push(request);
    this.#runningCount += 1;
    this.#changed();
    let ending: FinishReason | 'error' = 'cancelled';
    let index = 0;
    try {
      if (request.reportProgress) yield* this.script.progress ?? [];
      for (const token of request.logprobs?.prompt ? (this.script.promptTokens ?? []) : []) {
        yield { type: 'prompt-delta', tokens: [token] };
      }
      for (; index <= parts.length; index++) {
        const wait = beforeEvent?.(index);
        if (wait !== undefined) await Promise.race([wait, aborted(signal)]);
        if (signal?.aborted) break;
        const { failure } = this.script;
        if (failure?.at === index) {
          ending = 'error';
          throw failure.error;
        }
        const part = parts[index];
        if (part === undefined) ending = finishReason;
        else {
          this.eventCount += 1;
          this.#changed();
          yield typeof part === 'string' ? { type: 'text-delta', text: part } : part;
        }
      }
      yield {
        ...this.#end(request, ending, Math.min(index, parts.length)),
        ...(take && { totalLogprob: take.totalLogprob }),
      };
    } finally {
      this.#runningCount -= 1;
      this.endings.push(ending);
      this.#changed();
    }
  }

  readonly preparedInputs: (readonly EmbeddingInput[])[] = [];
  readonly preparedMaxTokens: (number | undefined)[] = [];

  async prepareInputs(
    inputs: readonly EmbeddingInput[],
    maxTokens?: number,
  ): Promise<PreparedInputs> {
    if (this.script.inputFailure !== undefined) throw this.script.inputFailure;
    this.preparedInputs.push(inputs);
    this.preparedMaxTokens.push(maxTokens);
    const counts = inputs.map((input) =>
      Math.min(
        typeof input === 'string' ? words(input).length : input.length,
        maxTokens ?? 2 ** 31,
      ),
    );
    return { tokenCounts: Int32Array.from(counts), handle: inputs };
  }

  readonly rankings: { query: string; documents: readonly string[] }[] = [];

  async prepareRanking(query: string, documents: readonly string[]): Promise<PreparedInputs> {
    if (this.script.inputFailure !== undefined) throw this.script.inputFailure;
    this.rankings.push({ query, documents });
    const counts = documents.map((document) => words(`${query} ${document}`).length);
    return { tokenCounts: Int32Array.from(counts), handle: documents };
  }

  readonly dimensions: (number | undefined)[] = [];

  /** An input's vector: its token count, its index and ones, normalised. */
  async embed(
    { tokenCounts }: PreparedInputs,
    dimensions?: number,
    signal?: AbortSignal,
  ): Promise<readonly Float32Array[]> {
    this.dimensions.push(dimensions);
    await this.#untilVectors(signal);
    const width = dimensions ?? this.info.embedding.width;
    return Array.from(tokenCounts, (count, index) => {
      const values = Float32Array.from({ length: width }, (_, at) => [count, index][at] ?? 1);
      const norm = Math.hypot(...values);
      return values.map((value) => value / norm);
    });
  }

  /** The script's scores, else better ones for later documents; raw ones are a hundred times as large. */
  async rank(
    { tokenCounts }: PreparedInputs,
    { raw = false }: RankOptions = {},
    signal?: AbortSignal,
  ): Promise<readonly number[]> {
    await this.#untilVectors(signal);
    const { scores } = this.script;
    const rank = raw ? 100 : 1;
    return Array.from(tokenCounts, (_, at) => rank * (scores?.[at] ?? 1 - 1 / (at + 1)));
  }

  async #untilVectors(signal: AbortSignal | undefined): Promise<void> {
    this.#runningCount += 1;
    this.#changed();
    try {
      await Promise.race([this.script.beforeVectors?.(), aborted(signal)]);
      signal?.throwIfAborted();
    } catch (error) {
      this.endings.push('cancelled');
      throw error;
    } finally {
      this.#runningCount -= 1;
      this.#changed();
    }
  }

  stats(): EngineStats {
    return {
      ...zeroStats,
      runningCount: this.#runningCount,
      awaitedCount: this.#runningCount,
    };
  }

  async close(): Promise<void> {
    this.closed = true;
  }

  /** Resolves once the condition holds; looked at whenever the engine is asked or says something. */
  until(condition: (engine: this) => boolean): Promise<void> {
    return new Promise((resolve) => {
      this.#waiters.add({ condition: () => condition(this), resolve });
      this.#changed();
    });
  }

  #changed(): void {
    for (const waiter of this.#waiters) {
      if (!waiter.condition()) continue;
      this.#waiters.delete(waiter);
      waiter.resolve();
    }
  }

  #end(
    request: EngineRequest,
    ending: FinishReason | 'error',
    completionTokenCount: number,
  ): EngineEvent {
    return {
      type: 'sequence-end',
      finishReason: ending === 'error' ? 'cancelled' : ending,
      usage: {
        promptTokenCount: request.prompt.tokenCount,
        cachedTokenCount: this.script.cachedTokenCount,
        completionTokenCount,
        reasoningTokenCount: this.script.reasoningTokenCount,
      },
      timings: this.script.timings,
      ...this.script.ending,
      ...(this.script.endTokens && { tokens: this.script.endTokens }),
      ...this.script.end,
    };
  }
}

function words(text: string): string[] {
  return text.split(/\s+/).filter(Boolean);
}

function aborted(signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) resolve();
    signal?.addEventListener('abort', () => resolve(), { once: true });
  });
}

/** Something to wait for that a test resolves by hand. */
export function gate(): { readonly opened: Promise<void>; readonly open: () => void } {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

/** The fake vocabulary numbers its tokens by their first byte. */
function idOf(text: string | Buffer): number {
  return Buffer.from(text)[0] ?? 0;
}

/** A token as an engine scores it. */
export function tokenLogprob(
  text: string | Buffer,
  logprob: number | undefined,
  firstCharacter = 0,
  top: readonly (readonly [text: string | Buffer, logprob: number])[] = [],
): TokenLogprob {
  return {
    id: idOf(text),
    bytes: Buffer.from(text),
    logprob,
    firstCharacter,
    top: top.map(([each, value]) => ({ id: idOf(each), bytes: Buffer.from(each), logprob: value })),
  };
}
