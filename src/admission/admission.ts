import { GatewayError } from '../core/errors.ts';
import type { TokenUsage } from '../engine/engine.ts';
import { FairQueue, type Priority } from './fair-queue.ts';

/** How many may wait, and for how long. */
export interface AdmissionLimits {
  /** Requests that may wait; 0 is without limit. */
  readonly waitingCount: number;
  /** Milliseconds a request may wait until its first sequence is let in; 0 is without limit. */
  readonly waitMs: number;
}

/** Whose a request is and how urgent. */
export interface Applicant {
  readonly keyId: string;
  readonly priority: Priority;
  /** Once it aborts nothing of the request waits any more; what is let in still has to be given back. */
  readonly signal: AbortSignal;
}

/**
 * Of so many slots one more sequence is let in than can run: it takes the slot that becomes free at the
 * engine's very next step. Others wait for no more than a part of a turn longer by it.
 */
const slotsPerSpare = 4;

/** A sampled token costs as much as this many prompt tokens; the paper's weights. */
const completionWeight = 2;

/** Weight of the newest one in the running average of how long slots are held. */
const newestWeight = 0.1;

const longestRetrySeconds = 600;

/**
 * Stands in front of the engine: as many sequences are let in as it runs at once, the others wait here,
 * where they can be told apart by key and dropped. Which is next is {@link FairQueue}'s to say.
 */
export class Admission {
  readonly #limits: AdmissionLimits;
  readonly #slotCount: () => number;
  readonly #line = new FairQueue<SlotRequest>();
  /** Requests of which nothing was let in yet. */
  readonly #waiting = new Set<PlaceInLine>();
  #admittedCount = 0;
  /** How long a slot is held, on average; undefined before the first was given back. */
  #heldMs: number | undefined;

  /** @param slotCount - sequences that run at once; asked each time, since it depends on the model */
  constructor(limits: AdmissionLimits, slotCount: () => number) {
    this.#limits = limits;
    this.#slotCount = slotCount;
  }

  get limits(): AdmissionLimits {
    return this.#limits;
  }

  /** Sequences that wait to be let in. */
  get waitingCount(): number {
    return this.#line.size;
  }

  /**
   * Takes a place for a request, before anything is done for it. Where too many wait already, the youngest
   * one of the key with most of them has to leave, be it this one: a key that floods the line does not
   * keep others out of it. An interactive request takes the place of one that is not before that.
   * @throws {GatewayError} `queue_full`
   */
  join(applicant: Applicant): Place {
    const { waitingCount: limit } = this.#limits;
    const placeCount = limit + this.#slotCount();
    if (limit > 0 && this.#waiting.size + this.#admittedCount >= placeCount) {
      const victim = this.#victimFor(applicant);
      if (victim === undefined) throw this.#refusal('queue_full');
      victim.refuse(this.#refusal('queue_full'));
    }
    const place = new PlaceInLine(applicant, {
      waitMs: this.#limits.waitMs,
      enqueue: (request) => {
        this.#line.add(request);
        this.#letIn();
      },
      dequeue: (request) => this.#line.remove(request),
      charge: (cost) => this.#line.charge(applicant.keyId, cost),
      onOver: () => this.#waiting.delete(place),
      onRelease: (heldMs) => {
        this.#heldMs ??= heldMs;
        this.#heldMs += newestWeight * (heldMs - this.#heldMs);
        this.#admittedCount -= 1;
        this.#line.end(applicant.keyId);
        this.#letIn();
      },
      refusal: () => this.#refusal('queue_timeout'),
    });
    this.#waiting.add(place);
    return place;
  }

  /** Seconds until those who wait now have been let in, at the rate slots were given back lately. */
  get retryAfterSeconds(): number | undefined {
    if (this.#heldMs === undefined) return undefined;
    const turnMs = this.#heldMs / Math.max(1, this.#slotCount());
    const waitingCount = Math.max(this.#line.size, this.#waiting.size, 1);
    return Math.min(longestRetrySeconds, Math.max(1, Math.ceil((turnMs * waitingCount) / 1000)));
  }

  #letIn(): void {
    const slotCount = this.#slotCount();
    const most = slotCount + Math.floor(slotCount / slotsPerSpare);
    while (this.#admittedCount < most) {
      const request = this.#line.next();
      if (request === undefined) return;
      this.#admittedCount += 1;
      request.admit();
    }
  }

  #victimFor({ keyId, priority }: Applicant): PlaceInLine | undefined {
    const waiting = [...this.#waiting];
    const batch = waiting.filter((place) => place.applicant.priority === 'batch');
    if (priority === 'interactive' && batch.length > 0) return youngestOfLongest(batch);
    const sameKind = waiting.filter((place) => place.applicant.priority === priority);
    const victim = youngestOfLongest(sameKind);
    if (victim === undefined) return undefined;
    const longest = countOf(sameKind, victim.applicant.keyId);
    return longest > countOf(sameKind, keyId) + 1 ? victim : undefined;
  }

  #refusal(code: 'queue_full' | 'queue_timeout'): GatewayError {
    const { retryAfterSeconds } = this;
    return new GatewayError(code, retryAfterSeconds === undefined ? {} : { retryAfterSeconds });
  }
}

function countOf(places: readonly PlaceInLine[], keyId: string): number {
  return places.filter(({ applicant }) => applicant.keyId === keyId).length;
}

/** The last one of the key that has most of them. */
function youngestOfLongest(places: readonly PlaceInLine[]): PlaceInLine | undefined {
  const counts = new Map<string, number>();
  for (const { applicant } of places) {
    counts.set(applicant.keyId, (counts.get(applicant.keyId) ?? 0) + 1);
  }
  const most = Math.max(0, ...counts.values());
  return places.findLast(({ applicant }) => counts.get(applicant.keyId) === most);
}

/** A request's place in line. Call {@link leave} when the request is over, however it ended. */
export interface Place {
  /**
   * Waits for one sequence to be let in. Any number of calls may wait at the same time.
   * @param promptTokenCount - what it is thought to compute
   * @throws the signal's reason once it aborts
   * @throws {GatewayError} `queue_full` when another needs the place, `queue_timeout`
   */
  slot(promptTokenCount: number): Promise<Slot>;
  /** @param reason - thrown to whatever of the request still waits for a slot */
  leave(reason?: unknown): void;
}

/** What one sequence used. */
export type SlotUsage = Pick<
  TokenUsage,
  'promptTokenCount' | 'cachedTokenCount' | 'completionTokenCount'
>;

/** Leave to hand one sequence to the engine. Has to be given back once, by {@link end}. */
export interface Slot {
  readonly waitedMs: number;
  /** A token was sampled, at least. */
  notePiece(): void;
  /** @param used - what it really computed, where that is known */
  end(used?: SlotUsage): void;
}

/** What a place needs from the admission. */
interface PlaceDeps {
  readonly waitMs: number;
  readonly enqueue: (request: SlotRequest) => void;
  readonly dequeue: (request: SlotRequest) => void;
  readonly charge: (cost: number) => void;
  /** It waits no more: something of it was let in, or nothing will be. */
  readonly onOver: () => void;
  readonly onRelease: (heldMs: number) => void;
  readonly refusal: () => GatewayError;
}

/** One sequence that waits to be let in. */
interface SlotRequest {
  readonly keyId: string;
  readonly priority: Priority;
  readonly admit: () => void;
  readonly fail: (reason: unknown) => void;
}

class PlaceInLine implements Place {
  readonly applicant: Applicant;
  readonly #deps: PlaceDeps;
  readonly #requests = new Set<SlotRequest>();
  readonly #timer: NodeJS.Timeout | undefined;
  readonly #onAbort = () => this.refuse(this.applicant.signal.reason);
  /** Why nothing more is let in. */
  #refusal: { readonly reason: unknown } | undefined;

  constructor(applicant: Applicant, deps: PlaceDeps) {
    this.applicant = applicant;
    this.#deps = deps;
    if (deps.waitMs > 0) this.#timer = setTimeout(() => this.refuse(deps.refusal()), deps.waitMs);
    applicant.signal.addEventListener('abort', this.#onAbort);
  }

  slot(promptTokenCount: number): Promise<Slot> {
    const { keyId, priority } = this.applicant;
    return new Promise((resolve, reject) => {
      if (this.#refusal !== undefined) return reject(this.#refusal.reason);
      let queuedAt: number | undefined;
      const request: SlotRequest = {
        keyId,
        priority,
        admit: () => {
          this.#requests.delete(request);
          this.#waitNoMore();
          const waitedMs = queuedAt === undefined ? 0 : performance.now() - queuedAt;
          resolve(this.#newSlot(waitedMs, promptTokenCount));
        },
        fail: reject,
      };
      this.#requests.add(request);
      // It may be let in at once.
      this.#deps.enqueue(request);
      queuedAt = performance.now();
    });
  }

  /** Whoever waits for a slot is told why there will be none. */
  refuse(reason: unknown): void {
    this.#refusal ??= { reason };
    this.#waitNoMore();
    for (const request of this.#requests) {
      this.#deps.dequeue(request);
      request.fail(reason);
    }
    this.#requests.clear();
  }

  leave(reason: unknown = new Error('the request is over')): void {
    this.applicant.signal.removeEventListener('abort', this.#onAbort);
    this.refuse(reason);
  }

  #waitNoMore(): void {
    clearTimeout(this.#timer);
    this.#deps.onOver();
  }

  #newSlot(waitedMs: number, promptTokenCount: number): Slot {
    const admittedAt = performance.now();
    let charged = 0;
    const charge = (cost: number) => {
      charged += cost;
      this.#deps.charge(cost);
    };
    charge(promptTokenCount);
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
        this.#deps.onRelease(performance.now() - admittedAt);
      },
    };
  }
}
