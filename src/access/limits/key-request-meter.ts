/** Counts the requests of a key: how many in a minute, and how many run at the same time. */
import { GatewayError } from '../../core/errors.ts';
import type { Caller } from '../keys/caller.ts';
import { type Allowance, inSeconds, minuteMs, toAllowance } from './allowance.ts';
import type { LimitStore } from './limit-store.ts';

/** How long a server that dies keeps the places of its running requests from other servers. */
const leaseMs = 60_000;
/** How often a running request renews its lease. */
const renewalMs = 20_000;

/** One request as an entry of its key's windows. */
export class KeyRequestMeter {
  readonly #store: LimitStore;
  readonly #caller: Caller;
  readonly #id: string;
  #isCounted = false;
  #hasEnded = false;
  #renewal: NodeJS.Timeout | undefined;

  /** @param id - unique among requests */
  constructor(store: LimitStore, caller: Caller, id: string) {
    this.#store = store;
    this.#caller = caller;
    this.#id = id;
  }

  /**
   * Takes one of the key's requests per minute.
   * @param onChange - receives the remaining requests of the minute, also before a refusal
   * @throws {GatewayError} `rate_limit_exceeded`
   */
  async count(onChange: (requests: Allowance) => void): Promise<void> {
    const { requestsPerMinute: limit } = this.#caller.limits;
    if (limit === undefined) return;
    const entry = { id: this.#id, amount: 1 };
    const bounds = { limit, windowMs: minuteMs };
    const state = await this.#store.take(this.#requestWindow, entry, bounds);
    if (!state.granted) {
      const { retryMs } = state;
      onChange({ limit, remaining: 0, resetMs: retryMs });
      throw new GatewayError('rate_limit_exceeded', {
        message: `Rate limit reached on requests per min (RPM): Limit ${limit}, Used ${limit}, Requested 1. Please try again in ${inSeconds(retryMs)}.`,
        retryAfterMs: retryMs,
      });
    }
    this.#isCounted = true;
    onChange(toAllowance(limit, state));
  }

  /**
   * Takes one of the key's places for concurrent requests, until {@link end}.
   * @throws {GatewayError} `concurrency_exceeded`
   */
  async holdPlace(): Promise<void> {
    const { concurrentRequests: limit } = this.#caller.limits;
    if (limit === undefined) return;
    const place = { id: this.#id, amount: 1 };
    const bounds = { limit, windowMs: leaseMs };
    const { granted } = await this.#store.take(this.#placeWindow, place, bounds);
    if (!granted) {
      throw new GatewayError('concurrency_exceeded', {
        message: `Rate limit reached on concurrent requests: Limit ${limit}, Used ${limit}, Requested 1. Please try again when one of them is answered.`,
      });
    }
    // The client has left in the meantime.
    if (this.#hasEnded) {
      void this.#store.settle(this.#placeWindow, { id: this.#id, amount: 0 }, leaseMs);
      return;
    }
    const renew = () => void this.#store.settle(this.#placeWindow, place, leaseMs);
    this.#renewal = setInterval(renew, renewalMs);
    this.#renewal.unref();
  }

  /** The reply is sent, or the client has left. A request that was `refused` does not count. */
  end({ refused }: { readonly refused: boolean }): void {
    this.#hasEnded = true;
    const nothing = { id: this.#id, amount: 0 };
    if (refused && this.#isCounted) {
      void this.#store.settle(this.#requestWindow, nothing, minuteMs);
    }
    if (this.#renewal === undefined) return;
    clearInterval(this.#renewal);
    void this.#store.settle(this.#placeWindow, nothing, leaseMs);
  }

  get #requestWindow(): string {
    return `requests:${this.#caller.keyId}`;
  }

  get #placeWindow(): string {
    return `concurrent:${this.#caller.keyId}`;
  }
}
