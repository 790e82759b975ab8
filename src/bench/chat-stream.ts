import { EventStreamReader, type StreamEvent } from './event-stream.ts';
import { type Failure, isRecord, RequestError, readErrorBody } from './failure.ts';

/** One streamed completion, measured on arrival. Times are milliseconds on one clock. */
export interface Completion {
  /** From the start to the first delta with content; undefined without one. */
  readonly ttftMs: number | undefined;
  /** From the start to `[DONE]`. */
  readonly totalMs: number;
  /**
   * One for each delta after the first read. Deltas of one read have waited together, so the time since the previous read
   * is divided among them.
   */
  readonly interTokenMs: readonly number[];
  /** The maximum time between two reads with text, not divided: what a user sees as a stall. */
  readonly longestPauseMs: number | undefined;
  /** Tokens after the first read per second; undefined when all tokens came at once. */
  readonly decodeTokensPerSecond: number | undefined;
  readonly tokens: TokenCounts;
  readonly finishReason: string | undefined;
  /** The content, without reasoning and tool calls. */
  readonly text: string;
  readonly serverTimings: ServerTimings | undefined;
}

/** Tokens of one request, from `usage` unless the server sent none. */
export interface TokenCounts {
  readonly prompt: number | undefined;
  /** Prompt tokens from the server's cache; 0 where the server does not report them. */
  readonly cached: number;
  /** The number of deltas, without `usage`. */
  readonly completion: number;
  readonly deltas: number;
  readonly countedBy: 'usage' | 'deltas';
}

/** The server's own measurement, in llama.cpp's `timings`. Tokens per second. */
export interface ServerTimings {
  readonly prefillTokensPerSecond: number | undefined;
  readonly decodeTokensPerSecond: number | undefined;
}

/** Fields of a delta with generated tokens; servers have two names for reasoning. */
const textFields = ['content', 'reasoning_content', 'reasoning', 'refusal'] as const;

/** Measures one stream of chat completion chunks. */
export class ChatStreamMeter {
  readonly #startedAtMs: number;
  readonly #reader = new EventStreamReader();
  #firstReadAtMs: number | undefined;
  #firstReadDeltaCount = 0;
  #lastReadAtMs = 0;
  #doneAtMs: number | undefined;
  #deltaCount = 0;
  #interTokenMs: number[] = [];
  #longestPauseMs: number | undefined;
  #usage: Readonly<Record<string, unknown>> | undefined;
  #timings: Readonly<Record<string, unknown>> | undefined;
  #finishReason: string | undefined;
  #text = '';
  #failure: Failure | undefined;

  /** @param startedAtMs - start of the request's clock */
  constructor(startedAtMs: number) {
    this.#startedAtMs = startedAtMs;
  }

  /** Adds the bytes of one read of the socket. */
  read(bytes: Uint8Array, atMs: number): void {
    const countBefore = this.#deltaCount;
    for (const event of this.#reader.read(bytes)) this.#take(event, atMs);
    const readCount = this.#deltaCount - countBefore;
    if (readCount === 0) return;
    if (this.#firstReadAtMs === undefined) {
      this.#firstReadAtMs = atMs;
      this.#firstReadDeltaCount = readCount;
    } else {
      const pauseMs = atMs - this.#lastReadAtMs;
      this.#longestPauseMs = Math.max(this.#longestPauseMs ?? 0, pauseMs);
      for (let i = 0; i < readCount; i++) this.#interTokenMs.push(pauseMs / readCount);
    }
    this.#lastReadAtMs = atMs;
  }

  /**
   * The measured completion, once the stream has ended.
   * @throws {RequestError} `error-frame`, `bad-stream`, `no-done`
   */
  end(): Completion {
    if (this.#failure !== undefined) throw new RequestError(this.#failure);
    if (this.#doneAtMs === undefined) {
      const message = `the stream ended without [DONE] after ${this.#deltaCount} deltas`;
      throw new RequestError({ kind: 'no-done', message });
    }
    const tokens = this.#tokens();
    const decodeMs = this.#lastReadAtMs - (this.#firstReadAtMs ?? this.#lastReadAtMs);
    const laterTokenCount = tokens.completion - this.#firstReadDeltaCount;
    return {
      ttftMs:
        this.#firstReadAtMs === undefined ? undefined : this.#firstReadAtMs - this.#startedAtMs,
      totalMs: this.#doneAtMs - this.#startedAtMs,
      interTokenMs: this.#interTokenMs,
      longestPauseMs: this.#longestPauseMs,
      decodeTokensPerSecond:
        decodeMs > 0 && laterTokenCount > 0 ? (laterTokenCount * 1000) / decodeMs : undefined,
      tokens,
      finishReason: this.#finishReason,
      text: this.#text,
      serverTimings: this.#serverTimings(),
    };
  }

  /** Whether the server has reported a failure, so that the stream need not be read further. */
  get hasFailed(): boolean {
    return this.#failure !== undefined;
  }

  #take({ name, data }: StreamEvent, atMs: number): void {
    if (this.#doneAtMs !== undefined || this.#failure !== undefined) return;
    if (data === '[DONE]') {
      this.#doneAtMs = atMs;
      return;
    }
    const chunk = parseJson(data);
    const error = readErrorBody(name === 'error' ? { error: chunk } : chunk);
    if (error !== undefined) {
      this.#failure = { kind: 'error-frame', ...error };
    } else if (!isRecord(chunk)) {
      const message = `an event is not a JSON object: ${data.slice(0, 80)}`;
      this.#failure = { kind: 'bad-stream', message };
    } else {
      this.#takeChunk(chunk);
    }
  }

  #takeChunk({ choices, usage, timings }: Readonly<Record<string, unknown>>): void {
    if (isRecord(usage)) this.#usage = usage;
    if (isRecord(timings)) this.#timings = timings;
    for (const choice of Array.isArray(choices) ? choices : []) {
      if (!isRecord(choice)) continue;
      if (typeof choice.finish_reason === 'string') this.#finishReason = choice.finish_reason;
      if (!isRecord(choice.delta)) continue;
      if (holdsTokens(choice.delta)) this.#deltaCount += 1;
      if (typeof choice.delta.content === 'string') this.#text += choice.delta.content;
    }
  }

  #tokens(): TokenCounts {
    const details = this.#usage?.prompt_tokens_details;
    const completion = numberOf(this.#usage?.completion_tokens);
    return {
      prompt: numberOf(this.#usage?.prompt_tokens),
      cached:
        (isRecord(details) ? numberOf(details.cached_tokens) : undefined) ??
        numberOf(this.#timings?.cache_n) ??
        0,
      completion: completion ?? this.#deltaCount,
      deltas: this.#deltaCount,
      countedBy: completion === undefined ? 'deltas' : 'usage',
    };
  }

  #serverTimings(): ServerTimings | undefined {
    if (this.#timings === undefined) return undefined;
    return {
      prefillTokensPerSecond: numberOf(this.#timings.prompt_per_second),
      decodeTokensPerSecond: numberOf(this.#timings.predicted_per_second),
    };
  }
}

function holdsTokens(delta: Readonly<Record<string, unknown>>): boolean {
  if (textFields.some((field) => typeof delta[field] === 'string' && delta[field] !== '')) {
    return true;
  }
  return Array.isArray(delta.tool_calls) && delta.tool_calls.length > 0;
}

function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
