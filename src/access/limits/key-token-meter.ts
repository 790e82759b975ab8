import { GatewayError } from '../../core/errors.ts';
import type { Caller } from '../keys/caller.ts';
import type { Usage } from '../usage/usage-lines.ts';
import { type Allowance, inSeconds, minuteMs, toAllowance } from './allowance.ts';
import type { LimitStore } from './limit-store.ts';
import type { TokenMeter, TokenRequest } from './token-meter.ts';

const dayMs = 86_400_000;

/** The name of the window with a key's tokens of the last minute. */
function tokenWindow({ keyId }: Caller): string {
  return `tokens:${keyId}`;
}

/** The tokens per minute that a key has left; undefined without such a limit. */
export async function tokensLeft(
  store: LimitStore,
  caller: Caller,
): Promise<Allowance | undefined> {
  const { tokensPerMinute: limit } = caller.limits;
  if (limit === undefined) return undefined;
  const nothing = { id: '', amount: 0 };
  const state = await store.take(tokenWindow(caller), nothing, { limit, windowMs: minuteMs });
  return toAllowance(limit, state);
}

/**
 * Restores today's usage of all keys from recorded usage in a store without memory: a restart does not reset a quota.
 * @param now - milliseconds since 1970
 */
export async function restoreQuotas(
  store: LimitStore,
  recorded: readonly Usage[],
  now = Date.now(),
): Promise<void> {
  const today = dayOf(now);
  const bounds = { limit: Number.POSITIVE_INFINITY, lifetimeMs: 2 * dayMs };
  for (const { day, keyId, promptTokenCount, completionTokenCount } of recorded) {
    if (day !== today) continue;
    await store.addToTotal(quotaName(day, keyId), promptTokenCount + completionTokenCount, bounds);
  }
}

function dayOf(now: number): string {
  return new Date(now).toISOString().slice(0, 10);
}

function quotaName(day: string, keyId: string): string {
  return `day:${day}:${keyId}`;
}

/** Counts the tokens of one request against the limits of its key, per minute and per day. */
export class KeyTokenMeter implements TokenMeter {
  readonly #store: LimitStore;
  readonly #caller: Caller;
  readonly #id: string;
  readonly #now: () => number;
  readonly #onChange: (tokens: Allowance) => void;
  #day = '';
  #reservedOfDay = 0;

  /**
   * @param id - unique among requests
   * @param onChange - receives the remaining tokens per minute of the key
   * @param now - milliseconds since 1970: days begin at midnight UTC
   */
  constructor(
    store: LimitStore,
    caller: Caller,
    id: string,
    onChange: (tokens: Allowance) => void,
    now: () => number = Date.now,
  ) {
    this.#store = store;
    this.#caller = caller;
    this.#id = id;
    this.#onChange = onChange;
    this.#now = now;
  }

  async reserve(request: TokenRequest): Promise<void> {
    await this.#reserveOfMinute(request);
    try {
      await this.#reserveOfDay(request);
    } catch (error) {
      await this.#settleMinute(0);
      throw error;
    }
  }

  async settle(tokenCount: number): Promise<void> {
    await this.#settleMinute(tokenCount);
    if (this.#caller.limits.tokensPerDay === undefined) return;
    // The tokens are spent, so they count beyond the limit, too.
    const bounds = { limit: Number.POSITIVE_INFINITY, lifetimeMs: 2 * dayMs };
    await this.#store.addToTotal(this.#dayName(), tokenCount - this.#reservedOfDay, bounds);
  }

  async #reserveOfMinute(request: TokenRequest): Promise<void> {
    const { tokensPerMinute: limit } = this.#caller.limits;
    if (limit === undefined) return;
    const { promptTokenCount, completionTokenCount } = request;
    // A completion that exceeds the limit by itself is allowed when the window is empty: the next requests wait for it.
    const amount = Math.max(
      promptTokenCount,
      Math.min(limit, promptTokenCount + completionTokenCount),
    );
    const bounds = { limit, windowMs: minuteMs };
    const state = await this.#store.take(
      tokenWindow(this.#caller),
      { id: this.#id, amount },
      bounds,
    );
    this.#onChange(toAllowance(limit, state));
    if (state.granted) return;
    const advice =
      promptTokenCount > limit
        ? 'The prompt alone exceeds the limit.'
        : `Please try again in ${inSeconds(state.retryMs)}.`;
    throw new GatewayError('tokens_exceeded', {
      message: `Rate limit reached on tokens per min (TPM): Limit ${limit}, Used ${state.used}, Requested ${amount}. ${advice}`,
      retryAfterMs: state.retryMs,
    });
  }

  /** Counts the prompt only: an estimated completion must not exhaust the quota of a day. */
  async #reserveOfDay({ promptTokenCount }: TokenRequest): Promise<void> {
    const { tokensPerDay: limit } = this.#caller.limits;
    if (limit === undefined) return;
    this.#day = dayOf(this.#now());
    const bounds = { limit, lifetimeMs: 2 * dayMs };
    const { granted, total } = await this.#store.addToTotal(
      this.#dayName(),
      // An exhausted quota refuses an empty prompt as well.
      Math.max(1, promptTokenCount),
      bounds,
    );
    if (!granted) {
      throw new GatewayError('insufficient_quota', {
        message: `The API key has used its tokens of today: Limit ${limit}, Used ${total}, Requested ${promptTokenCount}. The next day begins at midnight UTC.`,
        retryAfterMs: dayMs - (this.#now() % dayMs),
      });
    }
    this.#reservedOfDay = Math.max(1, promptTokenCount);
  }

  #dayName(): string {
    return quotaName(this.#day, this.#caller.keyId);
  }

  async #settleMinute(amount: number): Promise<void> {
    if (this.#caller.limits.tokensPerMinute === undefined) return;
    await this.#store.settle(tokenWindow(this.#caller), { id: this.#id, amount }, minuteMs);
  }
}
