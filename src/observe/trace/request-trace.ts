import type { AuthenticationReason } from '../../access/keys/caller.ts';
import type { ErrorCode } from '../../core/errors.ts';
import type { FinishReason, SequenceTimings, TokenUsage } from '../../engine/generator.ts';

/** How one sequence of a request came to its end. */
export interface SequenceRecord {
  readonly finishReason: FinishReason;
  readonly usage: TokenUsage;
  readonly timings: SequenceTimings;
}

/** What is known of a request that generated. */
export interface GenerationRecord {
  /** Completions of each prompt. */
  readonly choiceCount: number;
  /** What the request itself asked for. */
  readonly maxTokens: number | undefined;
  /** Of all prompts, each counted once. */
  readonly promptTokenCount: number;
  readonly cachedTokenCount: number;
  readonly completionTokenCount: number;
  /** From the arrival of the request to the first token; undefined when none came. */
  readonly firstTokenMs: number | undefined;
  /** Those that ended; a sequence that failed is not among them. */
  readonly sequences: readonly SequenceRecord[];
}

/** What one request came to: all that metrics and the access log know of it. */
export interface RequestRecord {
  readonly requestId: string;
  /** Whose API key it carried; undefined when there was none, or none that is valid. */
  readonly keyId: string | undefined;
  readonly client: string;
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  /** The route's own path; undefined when none took it. */
  readonly route: string | undefined;
  /** {@link clientClosedStatus} when the client left before its reply was complete. */
  readonly status: number;
  /** Why it failed, also when its reply had begun with 200. */
  readonly failure: ErrorCode | undefined;
  /** What was wrong with its key, where that is why. */
  readonly keyFailure: AuthenticationReason | undefined;
  readonly durationMs: number;
  /** Bytes of the body, as far as it got. */
  readonly sentBytes: number;
  readonly generation: GenerationRecord | undefined;
  /** Tokens of inputs that were embedded or ranked; undefined where none were to be. */
  readonly inputTokenCount: number | undefined;
  /** What W3C's trace context says of the client's span, as it came; undefined where it says nothing. */
  readonly traceHeaders: Readonly<Record<string, string>> | undefined;
}

/** Nobody receives it; logs and metrics know it from nginx. */
export const clientClosedStatus = 499;

/** Whether the reply was complete and told of no failure. */
export function isSuccess({ status, failure }: RequestRecord): boolean {
  return status < 400 && failure === undefined;
}

/**
 * One request while it runs. Everyone who handles it notes here what he knows; it is over once its
 * connection has no more use for it and its generation has ended, in whichever order.
 */
export class RequestTrace {
  readonly #startedAt = performance.now();
  readonly #onEnd: () => void;
  #endedAt: number | undefined;
  #told = false;
  #generation: GenerationTrace | undefined;
  /** Why it failed; the first reason counts. */
  failure: ErrorCode | undefined;
  /** What was wrong with its key. */
  keyFailure: AuthenticationReason | undefined;
  sentBytes = 0;
  /** Tokens of inputs that are handed to the engine. */
  inputTokenCount: number | undefined;

  constructor(onEnd: () => void) {
    this.#onEnd = onEnd;
  }

  /** Whether something of it has been handed to the engine. */
  get isSubmitted(): boolean {
    return this.#generation?.submitted === true || this.inputTokenCount !== undefined;
  }

  get durationMs(): number {
    return (this.#endedAt ?? performance.now()) - this.#startedAt;
  }

  get generation(): GenerationRecord | undefined {
    return this.#generation?.submitted ? this.#generation.record : undefined;
  }

  /** Call `end` of what comes back, however the generation ends. One call for each request. */
  beginGeneration(options: Pick<GenerationRecord, 'choiceCount' | 'maxTokens'>): GenerationTrace {
    this.#generation = new GenerationTrace(this.#startedAt, options, () => this.#settle());
    return this.#generation;
  }

  /** The reply is sent, or nobody is left to send it to. */
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

/** The generation of one request, while it runs. */
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

  /** The prompts are ready and go to the engine. */
  submit(promptTokenCount: number): void {
    this.#promptTokenCount = promptTokenCount;
  }

  /** A piece of a reply; only the first one counts. */
  noteDelta(): void {
    this.#firstTokenMs ??= performance.now() - this.#arrivedAt;
  }

  noteSequence(sequence: SequenceRecord): void {
    this.#sequences.push(sequence);
  }

  /** @param usage - of the whole request; left out when it did not come to its end */
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

/** Follows requests. */
export interface TraceObserver {
  began(trace: RequestTrace): void;
  /** @param trace - undefined for what never became a request: bytes that are not HTTP */
  ended(trace: RequestTrace | undefined, record: RequestRecord): void;
}
