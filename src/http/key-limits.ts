/** Limits what each key uses, and sends in headers what is left. */
import { randomUUID } from 'node:crypto';
import type { FastifyReply } from 'fastify';
import fp from 'fastify-plugin';
import type { Caller } from '../access/keys/caller.ts';
import {
  type Allowance,
  formatReset,
  inSeconds,
  KeyMeter,
  minuteMs,
  toAllowance,
  tokenWindow,
  wholeSeconds,
} from '../access/limits/key-meter.ts';
import type { LimitStore } from '../access/limits/limit-store.ts';
import type { TokenMeter } from '../access/limits/token-meter.ts';
import { GatewayError } from '../core/errors.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Counts the tokens of the request against its key; undefined where nothing is limited. */
    meter: TokenMeter | undefined;
  }
}

/** How long a server that dies keeps the places of its running requests from other servers. */
const leaseMs = 60_000;
/** How often a running request renews its lease. */
const renewalMs = 20_000;

export interface KeyLimitsOptions {
  /** Where uses are counted; undefined: keys have no limits. */
  readonly store: LimitStore | undefined;
}

/**
 * Counts requests in a minute and at the same time before the body is read, tokens through the request's meter once
 * their number is known. Registered after authentication.
 */
export const keyLimits = fp<KeyLimitsOptions>(async (app, { store }) => {
  app.decorateRequest('meter');
  if (store === undefined) return;
  app.addHook('onRequest', async (request, reply) => {
    const { caller } = request;
    if (caller === undefined) return;
    const use = { caller, reply, store, id: randomUUID() };
    request.meter = new KeyMeter(store, caller, use.id, (tokens) => show(reply, 'tokens', tokens));
    await showTokens(use);
    await countRequest(use);
    await holdPlace(use);
  });
});

/** A request as an entry of its key's windows. */
interface KeyUse {
  readonly caller: Caller;
  readonly reply: FastifyReply;
  readonly store: LimitStore;
  /** The id of the entry. */
  readonly id: string;
}

async function showTokens({ caller, reply, store }: KeyUse): Promise<void> {
  const { tokensPerMinute: limit } = caller.limits;
  if (limit === undefined) return;
  const nothing = { id: '', amount: 0 };
  const state = await store.take(tokenWindow(caller), nothing, { limit, windowMs: minuteMs });
  show(reply, 'tokens', toAllowance(limit, state));
}

/** Takes one of the key's requests of a minute. */
async function countRequest({ caller, reply, store, id }: KeyUse): Promise<void> {
  const { requestsPerMinute: limit } = caller.limits;
  if (limit === undefined) return;
  const window = `requests:${caller.keyId}`;
  const state = await store.take(window, { id, amount: 1 }, { limit, windowMs: minuteMs });
  if (!state.granted) {
    const { retryMs } = state;
    show(reply, 'requests', { limit, remaining: 0, resetMs: retryMs });
    throw new GatewayError('rate_limit_exceeded', {
      message: `Rate limit reached on requests per min (RPM): Limit ${limit}, Used ${limit}, Requested 1. Please try again in ${inSeconds(retryMs)}.`,
      retryAfterSeconds: wholeSeconds(retryMs),
    });
  }
  show(reply, 'requests', toAllowance(limit, state));
  whenOver(reply, () => {
    // Another limit of the key refused the request, or a server that was too busy.
    if (reply.raw.statusCode !== 429 && reply.raw.statusCode !== 503) return;
    void store.settle(window, { id, amount: 0 }, minuteMs);
  });
}

/** Takes one of the key's places until the reply is sent or the client has left. */
async function holdPlace({ caller, reply, store, id }: KeyUse): Promise<void> {
  const { concurrentRequests: limit } = caller.limits;
  if (limit === undefined) return;
  const window = `concurrent:${caller.keyId}`;
  const place = { id, amount: 1 };
  const { granted } = await store.take(window, place, { limit, windowMs: leaseMs });
  if (!granted) {
    throw new GatewayError('concurrency_exceeded', {
      message: `Rate limit reached on concurrent requests: Limit ${limit}, Used ${limit}, Requested 1. Please try again when one of them is answered.`,
    });
  }
  const renewal = setInterval(() => void store.settle(window, place, leaseMs), renewalMs);
  renewal.unref();
  whenOver(reply, () => {
    clearInterval(renewal);
    void store.settle(window, { id, amount: 0 }, leaseMs);
  });
}

function show(
  reply: FastifyReply,
  kind: 'requests' | 'tokens',
  { limit, remaining, resetMs }: Allowance,
): void {
  if (reply.raw.headersSent) return;
  reply.headers({
    [`x-ratelimit-limit-${kind}`]: String(limit),
    [`x-ratelimit-remaining-${kind}`]: String(remaining),
    [`x-ratelimit-reset-${kind}`]: formatReset(resetMs),
  });
}

/** Calls back once, also for a client that has left already. */
function whenOver({ raw }: FastifyReply, then: () => void): void {
  const onOver = () => {
    raw.off('finish', onOver);
    raw.off('close', onOver);
    then();
  };
  raw.on('finish', onOver);
  raw.on('close', onOver);
  if (raw.destroyed) onOver();
}
