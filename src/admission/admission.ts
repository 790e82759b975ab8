import { GatewayError } from '../core/errors.ts';
import type { TokenUsage } from '../engine/generator.ts';
import { FairQueue, type Priority } from './fair-queue.ts';

/** How many requests may wait, and for how long. */
export interface AdmissionLimits {
  /** Requests that may wait; 0 is without limit. */
  readonly waitingCount: number;
  /** Milliseconds a request may wait until its first sequence is admitted; 0 is without limit. */
  readonly waitMs: number;
}

/** The share a request is charged to, and its urgency. */
export interface AdmissionRequest {
  readonly fairShareKey: string;
  readonly priority: Priority;
  /** After its abort no sequence of the request waits any more; permits still have to be ended. */
  readonly signal: AbortSignal;
}

/**
 * One spare sequence is admitted for each group of this many slots, beyond the sequences that can run. The spare takes
 * the slot that becomes free at the engine's next step. It delays other sequences by a fraction of a turn at most.
 */
const slotsPerSpare = 4;

/** A sampled token costs as much as this many prompt tokens; the weights of the paper that `FairQueue` names. */
const completionWeight = 2;

/** Weight of the newest value in the moving average of how long permits are held. */
const newestWeight = 0.1;

const maxRetrySeconds = 600;

/**
 * The queue in front of the engine. Admits as many sequences as the engine runs at once; all others wait here,
 * where requests are known by key and can be dropped. {@link FairQueue} decides which sequence is next.
 */
export class Admission {
  readonly #limits: AdmissionLimits;
  readonly #slotCount: () => number;
  readonly #queue = new FairQueue<WaitingSequence>();
  /** Requests without an admitted sequence. */
  readonly #waiting = new Set<WaitingRequest>();
  #admittedCount = 0;
  /** Average time a permit is held; undefined before the first one has ended. */
  #holdMs: number | undefined;

  /** @param slotCount - sequences that run at once; read each time, because it depends on the model */
  constructor(limits: AdmissionLimits, slotCount: () => number) {
    this.#limits = limits;
    this.#slotCount = slotCount;
  }

  get limits(): AdmissionLimits {
    return this.#limits;
  }

  /** Sequences that wait for a permit. */
  get waitingCount(): number {
    return this.#queue.size;
  }

  /**
   * Enters a request into the queue, before any work is done for it. A full queue refuses the youngest request
   * of the key with the most waiting requests, which may be this one: a key that floods the queue does not keep
   * other keys out. An interactive request displaces a batch request first.
   * @throws {GatewayError} `queue_full`
   */
  join(request: AdmissionRequest): QueueEntry {
    const { waitingCount: limit } = this.#limits;
    const capacity = limit + this.#slotCount();
    if (limit > 0 && this.#waiting.size + this.#admittedCount >= capacity) {
      const victim = this.#victimFor(request);
      if (victim === undefined) throw this.#refusal('queue_full');
      victim.refuse(this.#refusal('queue_full'));
    }
    const { fairShareKey } = request;
    const entry = new WaitingRequest(request, {
      waitMs: this.#limits.waitMs,
      enqueue: (sequence) => {
        this.#queue.add(sequence);
        this.#admit();
      },
      dequeue: (sequence) => this.#queue.remove(sequence),
      charge: (cost) => this.#queue.charge(fairShareKey, cost),
      onWaitOver: () => this.#waiting.delete(entry),
      onPermitEnd: (holdMs) => {
        this.#holdMs ??= holdMs;
        this.#holdMs += newestWeight * (holdMs - this.#holdMs);
        this.#admittedCount -= 1;
        this.#queue.end(fairShareKey);
        this.#admit();
      },
      timeoutError: () => this.#refusal('queue_timeout'),
    });
    this.#waiting.add(entry);
    return entry;
  }

  /** Seconds until all that wait now are admitted, at the rate at which permits ended lately. */
  get retryAfterSeconds(): number | undefined {
    if (this.#holdMs === undefined) return undefined;
    const turnMs = this.#holdMs / Math.max(1, this.#slotCount());
    const waitingCount = Math.max(this.#queue.size, this.#waiting.size, 1);
    return Math.min(maxRetrySeconds, Math.max(1, Math.ceil((turnMs * waitingCount) / 1000)));
  }

  #admit(): void {
    const slotCount = this.#slotCount();
    const maxAdmittedCount = slotCount + Math.floor(slotCount / slotsPerSpare);
    while (this.#admittedCount < maxAdmittedCount) {
      const sequence = this.#queue.next();
      if (sequence === undefined) return;
      this.#admittedCount += 1;
      sequence.admit();
    }
  }

  #victimFor({ fairShareKey, priority }: AdmissionRequest): WaitingRequest | undefined {
    const waiting = [...this.#waiting];
    const batch = waiting.filter(({ request }) => request.priority === 'batch');
    if (priority === 'interactive' && batch.length > 0) return youngestOfLargestShare(batch);
    const samePriority = waiting.filter(({ request }) => request.priority === priority);
    const victim = youngestOfLargestShare(samePriority);
    if (victim === undefined) return undefined;
    const largest = countOf(samePriority, victim.request.fairShareKey);
    return largest > countOf(samePriority, fairShareKey) + 1 ? victim : undefined;
  }

  #refusal(code: 'queue_full' | 'queue_timeout'): GatewayError {
    const { retryAfterSeconds } = this;
    return new GatewayError(code, retryAfterSeconds === undefined ? {} : { retryAfterSeconds });
  }
}

function countOf(waiting: readonly WaitingRequest[], fairShareKey: string): number {
  return waiting.filter(({ request }) => request.fairShareKey === fairShareKey).length;
}

/** The last request of the key that has the most of them. */
function youngestOfLargestShare(waiting: readonly WaitingRequest[]): WaitingRequest | undefined {
  const counts = new Map<string, number>();
  for (const { request } of waiting) {
    counts.set(request.fairShareKey, (counts.get(request.fairShareKey) ?? 0) + 1);
  }
  const largest = Math.max(0, ...counts.values());
  return waiting.findLast(({ request }) => counts.get(request.fairShareKey) === largest);
}

/** A request in the queue. Call {@link leave} when the request is over, however it ended. */
export interface QueueEntry {
  /**
   * Waits until one sequence is admitted. Any number of calls may wait at the same time.
   * @param promptTokenCount - prompt tokens the sequence is expected to compute
   * @throws the signal's reason once it aborts
   * @throws {GatewayError} `queue_full` when another request displaces this one, `queue_timeout`
   */
  permit(promptTokenCount: number): Promise<Permit>;
  /** @param reason - thrown to calls of {@link permit} that still wait */
  leave(reason?: unknown): void;
}

/** What one sequence used. */
export type PermitUsage = Pick<
  TokenUsage,
  'promptTokenCount' | 'cachedTokenCount' | 'completionTokenCount'
>;

/** Permission to hand one sequence to the engine. Call {@link end} once, when the sequence is over. */
export interface Permit {
  readonly waitedMs: number;
  /** Charges at least one sampled token. */
  notePiece(): void;
  /** @param used - the exact counts, where they are known */
  end(used?: PermitUsage): void;
}

/** What a waiting request needs from the admission. */
interface WaitingRequestDeps {
  readonly waitMs: number;
  readonly enqueue: (sequence: WaitingSequence) => void;
  readonly dequeue: (sequence: WaitingSequence) => void;
  readonly charge: (cost: number) => void;
  /** The request waits no more: its first sequence was admitted, or none will be. */
  readonly onWaitOver: () => void;
  readonly onPermitEnd: (holdMs: number) => void;
  readonly timeoutError: () => GatewayError;
}

/** One sequence that waits for a permit. */
interface WaitingSequence {
  readonly fairShareKey: string;
  readonly priority: Priority;
  readonly admit: () => void;
  readonly fail: (reason: unknown) => void;
}

class WaitingRequest implements QueueEntry {
  readonly request: AdmissionRequest;
  readonly #deps: WaitingRequestDeps;
  readonly #sequences = new Set<WaitingSequence>();
  readonly #timer: NodeJS.Timeout | undefined;
  readonly #onAbort = () => this.refuse(this.request.signal.reason);
  /** Why no further sequence is admitted. */
  #refusal: { readonly reason: unknown } | undefined;

  constructor(request: AdmissionRequest, deps: WaitingRequestDeps) {
    this.request = request;
    this.#deps = deps;
    if (deps.waitMs > 0) {
      this.#timer = setTimeout(() => this.refuse(deps.timeoutError()), deps.waitMs);
    }
    request.signal.addEventListener('abort', this.#onAbort);
  }

  permit(promptTokenCount: number): Promise<Permit> {
    const { fairShareKey, priority } = this.request;
    return new Promise((resolve, reject) => {
      if (this.#refusal !== undefined) return reject(this.#refusal.reason);
      let queuedAt: number | undefined;
      const sequence: WaitingSequence = {
        fairShareKey,
        priority,
        admit: () => {
          this.#sequences.delete(sequence);
          this.#endWait();
          const waitedMs = queuedAt === undefined ? 0 : performance.now() - queuedAt;
          resolve(this.#newPermit(waitedMs, promptTokenCount));
        },
        fail: reject,
      };
      this.#sequences.add(sequence);
      // May admit the sequence at once.
      this.#deps.enqueue(sequence);
      queuedAt = performance.now();
    });
  }

  /** Fails all sequences that wait, and those to come, with `reason`. */
  refuse(reason: unknown): void {
    this.#refusal ??= { reason };
    this.#endWait();
    for (const sequence of this.#sequences) {
      this.#deps.dequeue(sequence);
      sequence.fail(reason);
    }
    this.#sequences.clear();
  }

  leave(reason: unknown = new Error('the request is over')): void {
    this.request.signal.removeEventListener('abort', this.#onAbort);
    this.refuse(reason);
  }

  #endWait(): void {
    clearTimeout(this.#timer);
    this.#deps.onWaitOver();
  }

  #newPermit(waitedMs: number, expectedTokenCount: number): Permit {
    const admittedAt = performance.now();
    let charged = 0;
    const charge = (cost: number) => {
      charged += cost;
      this.#deps.charge(cost);
    };
    charge(expectedTokenCount);
    let isOver = false;
    return {
      waitedMs,
      notePiece: () => charge(completionWeight),
      end: (used) => {
        if (isOver) return;
        isOver = true;
        if (used !== undefined) {
          const { promptTokenCount, cachedTokenCount, completionTokenCount } = used;
          const computedCount = promptTokenCount - cachedTokenCount;
          charge(computedCount + completionWeight * completionTokenCount - charged);
        }
        this.#deps.onPermitEnd(performance.now() - admittedAt);
      },
    };
  }
}
