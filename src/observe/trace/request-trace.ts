import type { AuthenticationReason } from '../../access/keys/caller.ts';
import type { ErrorCode } from '../../core/errors.ts';
import type { FinishReason, SequenceTimings, TokenUsage } from '../../engine/generator.ts';

/** How one sequence of a request ended. */
export interface SequenceRecord {
  readonly finishReason: FinishReason;
  readonly usage: TokenUsage;
  readonly timings: SequenceTimings;
}

/** The record of a request that generated text. */
export interface GenerationRecord {
  /** Completions of each prompt. */
  readonly choiceCount: number;
  /** The limit in the request itself. */
  readonly maxTokens: number | undefined;
  /** Tokens of all prompts, each counted once. */
  readonly promptTokenCount: number;
  readonly cachedTokenCount: number;
  readonly completionTokenCount: number;
  /** From the arrival of the request to its first token; undefined without one. */
  readonly firstTokenMs: number | undefined;
  /** Ended sequences, without failed ones. */
  readonly sequences: readonly SequenceRecord[];
}

/** The record of one request, for metrics, the access log and traces. */
export interface RequestRecord {
  readonly requestId: string;
  /** The id of its API key; undefined without a valid key. */
  readonly keyId: string | undefined;
  readonly client: string;
  readonly method: string;
  /** The path without the query. */
  readonly path: string;
  /** The path of the route; undefined if no route matched. */
  readonly route: string | undefined;
  /** {@link clientClosedStatus} when the client left before its reply was complete. */
  readonly status: number;
  /** Why it failed, even if its reply had begun with 200. */
  readonly failure: ErrorCode | undefined;
  /** Why its key was refused. */
  readonly keyFailure: AuthenticationReason | undefined;
  readonly durationMs: number;
  /** Bytes of the body that were sent. */
  readonly sentBytes: number;
  readonly generation: GenerationRecord | undefined;
  /** Tokens of inputs to embed or rank; undefined for other requests. */
  readonly inputTokenCount: number | undefined;
  /** Milliseconds from the submission of the inputs to their vectors or scores; undefined without these. */
  readonly inputMs?: number | undefined;
  /** The client's `traceparent` header (W3C trace context), unparsed; undefined without one. */
  readonly traceHeaders: Readonly<Record<string, string>> | undefined;
}

/** The status of a request whose client left, never sent; nginx uses it in logs. */
export const clientClosedStatus = 499;

/** True if the reply was complete and reported no failure. */
export function isSuccess({ status, failure }: RequestRecord): boolean {
  return status < 400 && failure === undefined;
}

/**
 * One request in flight. Its handlers record here what they know. It ends once its reply has ended and its generation has
 * ended, in either order.
 */
export class RequestTrace {
  readonly #startedAt = performance.now();
  readonly #onEnd: () => void;
  #endedAt: number | undefined;
  #told = false;
  #generation: GenerationTrace | undefined;
  /** Why it failed; the first reason is kept. */
  failure: ErrorCode | undefined;
  /** Why its key was refused. */
  keyFailure: AuthenticationReason | undefined;
  sentBytes = 0;
  /** Tokens of inputs that are submitted to the engine. */
  inputTokenCount: number | undefined;
  /** How long the engine took for them, in milliseconds. */
  inputMs: number | undefined;

  constructor(onEnd: () => void) {
    this.#onEnd = onEnd;
  }

  /** True once a part of it was submitted to the engine. */
  get isSubmitted(): boolean {
    return this.#generation?.submitted === true || this.inputTokenCount !== undefined;
  }

  get durationMs(): number {
    return (this.#endedAt ?? performance.now()) - this.#startedAt;
  }

  get generation(): GenerationRecord | undefined {
    if (this.#generation?.submitted !== true) return undefined;
    const { record } = this.#generation;
    const sequences = record.sequences.map((sequence) => this.#withinRequest(sequence));
    return { ...record, sequences };
  }

  /** A cancelled sequence leaves the queue after the request is over: its wait counts up to there. */
  #withinRequest(sequence: SequenceRecord): SequenceRecord {
    if (sequence.finishReason !== 'cancelled') return sequence;
    const { queueMs, prefillMs, decodeMs } = sequence.timings;
    const roomMs = Math.max(0, this.durationMs - prefillMs - decodeMs);
    return {
      ...sequence,
      timings: { ...sequence.timings, queueMs: Math.min(queueMs, roomMs) },
    };
  }

  /** At most one call for each request. The caller ends the returned trace however the generation ends. */
  beginGeneration(options: Pick<GenerationRecord, 'choiceCount' | 'maxTokens'>): GenerationTrace {
    this.#generation = new GenerationTrace(this.#startedAt, options, () => this.#settle());
    return this.#generation;
  }

  /** The reply is sent, or the client left. */
  close(): void {
    this.#endedAt ??= performance.now();
    this.#settle();
  }

  #settle(): void {
    if (this.#told || this.#endedAt === undefined || this.#generation?.running === true) return;
    this.#told = true;
    this.#onEnd();
  }
}

/** The running generation of one request. */
export class GenerationTrace {
  readonly #arrivedAt: number;
  readonly #options: Pick<GenerationRecord, 'choiceCount' | 'maxTokens'>;
  readonly #onEnd: () => void;
  readonly #sequences: SequenceRecord[] = [];
  #promptTokenCount: number | undefined;
  #firstTokenMs: number | undefined;
  #usage: TokenUsage | undefined;
  #running = true;

  constructor(
    arrivedAt: number,
    options: Pick<GenerationRecord, 'choiceCount' | 'maxTokens'>,
    onEnd: () => void,
  ) {
    this.#arrivedAt = arrivedAt;
    this.#options = options;
    this.#onEnd = onEnd;
  }

  get running(): boolean {
    return this.#running;
  }

  get submitted(): boolean {
    return this.#promptTokenCount !== undefined;
  }

  /** The prompts are prepared and submitted. */
  submit(promptTokenCount: number): void {
    this.#promptTokenCount = promptTokenCount;
  }

  /** A piece of a reply arrived; only the first one is recorded. */
  noteDelta(): void {
    this.#firstTokenMs ??= performance.now() - this.#arrivedAt;
  }

  noteSequence(sequence: SequenceRecord): void {
    this.#sequences.push(sequence);
  }

  /** @param usage - of the whole request; omitted if it did not complete */
  end(usage?: TokenUsage): void {
    if (!this.#running) return;
    this.#running = false;
    this.#usage = usage;
    this.#onEnd();
  }

  get record(): GenerationRecord {
    const total = (count: (usage: TokenUsage) => number) =>
      this.#sequences.reduce((sum, { usage }) => sum + count(usage), 0);
    return {
      ...this.#options,
      promptTokenCount: this.#promptTokenCount ?? 0,
      cachedTokenCount: this.#usage?.cachedTokenCount ?? total((usage) => usage.cachedTokenCount),
      completionTokenCount: total((usage) => usage.completionTokenCount),
      firstTokenMs: this.#firstTokenMs,
      sequences: this.#sequences,
    };
  }
}

/** Receives the record of every request. */
export interface TraceObserver {
  began(trace: RequestTrace): void;
  /** @param trace - undefined for bytes that are not HTTP and never became a request */
  ended(trace: RequestTrace | undefined, record: RequestRecord): void;
}
