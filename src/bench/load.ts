import { setTimeout as sleep } from 'node:timers/promises';
import type { ChatOutcome } from './client.ts';
import type { Message, Session, Workload } from './workload.ts';

/**
 * How requests arrive. Closed: a number of streams, each of which sends its next request after the last reply. Open:
 * requests arrive at random times, independent of earlier replies.
 */
export type Load =
  | { readonly kind: 'closed'; readonly concurrency: number }
  | { readonly kind: 'open'; readonly requestsPerSecond: number };

/** When sending ends; replies under way are still awaited. */
export interface LoadLimit {
  readonly requestCount: number | undefined;
  readonly durationMs: number | undefined;
}

/** One finished request. */
export interface Sample {
  /** 1 for the first request of a session. */
  readonly turn: number;
  /** Start of its clock, since the start of the run. */
  readonly startMs: number;
  readonly outcome: ChatOutcome;
}

/** The result of a load. */
export interface LoadRun {
  readonly samples: readonly Sample[];
  /** From the first request to the end of the last. */
  readonly wallMs: number;
  readonly peakInFlightCount: number;
  /** Share of the time in which this process was busy, 0 to 1: near 1 it measures itself. */
  readonly clientBusyRatio: number;
}

export interface LoadInput {
  readonly load: Load;
  readonly limit: LoadLimit;
  readonly workload: Workload;
  /** Mean number of requests per session, by which sessions arrive more rarely than requests. */
  readonly requestsPerSession: number;
  /** Random source of the arrivals. */
  readonly random: { next(): number };
  /** @param intendedAtMs - start of the clock; by default when the request is written */
  send(
    messages: readonly Message[],
    intendedAtMs: number | undefined,
  ): Promise<ChatOutcome | undefined>;
  readonly signal: AbortSignal;
  onSample?(sample: Sample): void;
}

/** Delay after a failure, so that a server that refuses at once is not flooded. */
const failurePauseMs = 100;

/** Runs the load to its limit, or until the signal; requests that the signal interrupts are left out. */
export async function runLoad(input: LoadInput): Promise<LoadRun> {
  const run = new RunningLoad(input);
  await (input.load.kind === 'closed'
    ? run.closed(input.load.concurrency)
    : run.open(input.load.requestsPerSecond));
  return run.result();
}

class RunningLoad {
  readonly #input: LoadInput;
  readonly #startedAtMs = performance.now();
  readonly #loopAtStart = performance.eventLoopUtilization();
  #endedAtMs = this.#startedAtMs;
  readonly #samples: Sample[] = [];
  #sentCount = 0;
  #sessionCount = 0;
  #inFlightCount = 0;
  #peakInFlightCount = 0;

  constructor(input: LoadInput) {
    this.#input = input;
  }

  result(): LoadRun {
    return {
      samples: this.#samples,
      wallMs: this.#endedAtMs - this.#startedAtMs,
      peakInFlightCount: this.#peakInFlightCount,
      // NaN without any time, when the run was stopped before it began.
      clientBusyRatio: performance.eventLoopUtilization(this.#loopAtStart).utilization || 0,
    };
  }

  async closed(concurrency: number): Promise<void> {
    const stream = async () => {
      while (this.#mayGoOn()) await this.#runSession(undefined);
    };
    await Promise.all(Array.from({ length: concurrency }, stream));
  }

  /** Poisson arrivals: the time between two is distributed exponentially. */
  async open(requestsPerSecond: number): Promise<void> {
    const { random, requestsPerSession, signal } = this.#input;
    const meanGapMs = (1000 * requestsPerSession) / requestsPerSecond;
    const sessions: Promise<void>[] = [];
    let arrivalMs = this.#startedAtMs;
    for (;;) {
      arrivalMs += -Math.log(1 - random.next()) * meanGapMs;
      if (this.#isPast(arrivalMs)) break;
      await pauseUntil(arrivalMs, signal);
      if (!this.#mayGoOn()) break;
      sessions.push(this.#runSession(arrivalMs));
    }
    await Promise.all(sessions);
  }

  /** @param arrivalMs - intended start of the session; its later requests start with the previous reply */
  async #runSession(arrivalMs: number | undefined): Promise<void> {
    const session: Session = this.#input.workload.session(this.#sessionCount);
    this.#sessionCount += 1;
    let intendedAtMs = arrivalMs;
    let answer = '';
    for (let turn = 1; ; turn++) {
      if (!this.#mayGoOn()) return;
      const messages = session.next(answer);
      if (messages === undefined) return;
      const outcome = await this.#sendOne(messages, turn, intendedAtMs);
      if (outcome === undefined) return;
      if (!outcome.ok) {
        const { load, signal } = this.#input;
        if (load.kind === 'closed') await pauseUntil(performance.now() + failurePauseMs, signal);
        return;
      }
      answer = outcome.completion.text;
      if (arrivalMs !== undefined) intendedAtMs = performance.now();
    }
  }

  async #sendOne(
    messages: readonly Message[],
    turn: number,
    intendedAtMs: number | undefined,
  ): Promise<ChatOutcome | undefined> {
    this.#sentCount += 1;
    this.#inFlightCount += 1;
    this.#peakInFlightCount = Math.max(this.#peakInFlightCount, this.#inFlightCount);
    const outcome = await this.#input.send(messages, intendedAtMs);
    this.#inFlightCount -= 1;
    if (outcome === undefined) return undefined;
    this.#endedAtMs = performance.now();
    const startMs = outcome.startedAtMs - this.#startedAtMs;
    const sample: Sample = { turn, startMs, outcome };
    this.#samples.push(sample);
    this.#input.onSample?.(sample);
    return outcome;
  }

  #mayGoOn(): boolean {
    const { limit, signal } = this.#input;
    if (signal.aborted || this.#isPast(performance.now())) return false;
    return limit.requestCount === undefined || this.#sentCount < limit.requestCount;
  }

  #isPast(atMs: number): boolean {
    const { durationMs } = this.#input.limit;
    return durationMs !== undefined && atMs - this.#startedAtMs >= durationMs;
  }
}

/** Maximum delay of a timer in Node.js. */
const maxTimerMs = 2 ** 31 - 1;

/** Ends early, without an error, when the signal aborts. */
async function pauseUntil(atMs: number, signal: AbortSignal): Promise<void> {
  for (;;) {
    const leftMs = atMs - performance.now();
    if (leftMs <= 0 || signal.aborted) return;
    await sleep(Math.min(leftMs, maxTimerMs), undefined, { signal }).catch(() => {});
  }
}
