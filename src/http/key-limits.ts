import { randomUUID } from 'node:crypto';
import rateLimit from '@fastify/rate-limit';
import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
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
    /** Counts its tokens against its key; undefined where nothing is limited. */
    meter: TokenMeter | undefined;
  }
}

/** A server that dies does not give back what its requests hold, so they hold it only for so long ... */
const leaseMs = 60_000;
/** ... and renew it while they run. */
const renewalMs = 20_000;

/** Between the window's name and the entry's id in what the plugin calls a key; ids of keys have none. */
const separator = '#';

type RequestCounter = ReturnType<FastifyInstance['createRateLimit']>;

/**
 * Limits what each key uses: requests in a minute and at the same time before anything of a body is read,
 * tokens through the request's meter once they are known. Says what is left in headers. Comes after
 * authentication.
 */
export function addKeyLimits(app: FastifyInstance, store: LimitStore): void {
  const entryIds = new WeakMap<FastifyRequest, string>();
  let countRequest: RequestCounter | undefined;
  // In a scope of its own: failed attempts are counted by another instance of the same plugin.
  const counting: FastifyPluginAsync = async (scope) => {
    await scope.register(rateLimit, { global: false, store: storeOfPlugin(store) });
    countRequest = scope.createRateLimit({
      timeWindow: minuteMs,
      max: ({ caller }) => caller?.limits.requestsPerMinute ?? Number.POSITIVE_INFINITY,
      keyGenerator: (request) =>
        `${requestWindow(request.caller)}${separator}${entryIds.get(request)}`,
    });
  };
  app.register(counting);

  app.decorateRequest('meter');
  app.addHook('onRequest', async (request, reply) => {
    const { caller } = request;
    if (caller === undefined) return;
    const id = randomUUID();
    entryIds.set(request, id);
    request.meter = new KeyMeter(store, caller, id, (tokens) => show(reply, 'tokens', tokens));
    await showTokens(caller, reply, store);
    if (caller.limits.requestsPerMinute !== undefined && countRequest !== undefined) {
      giveBackWhatWasRefused(caller, id, reply, store);
      await checkRequests(countRequest, request, reply);
    }
    await holdPlace(caller, id, reply, store);
  });
}

/** Nothing was done for a key that is over another limit, or whose server is too busy. */
function giveBackWhatWasRefused(
  caller: Caller,
  id: string,
  reply: FastifyReply,
  store: LimitStore,
): void {
  whenOver(reply, () => {
    if (reply.raw.statusCode !== 429 && reply.raw.statusCode !== 503) return;
    void store.settle(requestWindow(caller), { id, amount: 0 }, minuteMs);
  });
}

async function checkRequests(
  countRequest: RequestCounter,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<void> {
  const state = await countRequest(request);
  if (state.isAllowed) return;
  const { max: limit, remaining, ttl: resetMs } = state;
  show(reply, 'requests', { limit, remaining, resetMs });
  if (!state.isExceeded) return;
  throw new GatewayError('rate_limit_exceeded', {
    message: `Rate limit reached on requests per min (RPM): Limit ${limit}, Used ${limit}, Requested 1. Please try again in ${inSeconds(resetMs)}.`,
    retryAfterSeconds: wholeSeconds(resetMs),
  });
}

/** Takes one of the places of the key until the reply is over, or the client gone. */
async function holdPlace(
  caller: Caller,
  id: string,
  reply: FastifyReply,
  store: LimitStore,
): Promise<void> {
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

async function showTokens(caller: Caller, reply: FastifyReply, store: LimitStore): Promise<void> {
  const { tokensPerMinute: limit } = caller.limits;
  if (limit === undefined) return;
  const nothing = { id: '', amount: 0 };
  const state = await store.take(tokenWindow(caller), nothing, { limit, windowMs: minuteMs });
  show(reply, 'tokens', toAllowance(limit, state));
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

/** Once, also for a client that is gone already. */
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

function requestWindow(caller: Caller | undefined): string {
  return `requests:${caller?.keyId}`;
}

/** Our store as `@fastify/rate-limit` wants one; what it calls a key names a window and an entry of it. */
function storeOfPlugin(store: LimitStore): rateLimit.FastifyRateLimitStoreCtor {
  return class implements rateLimit.FastifyRateLimitStore {
    incr(...[key, callback, windowMs, limit]: Parameters<rateLimit.FastifyRateLimitStore['incr']>) {
      const [window = '', id = ''] = key.split(separator);
      store.take(window, { id, amount: 1 }, { limit, windowMs }).then(
        ({ granted, used, retryMs, resetMs }) =>
          callback(null, {
            current: granted ? used : limit + 1,
            ttl: granted ? resetMs : retryMs,
          }),
        callback,
      );
    }

    child() {
      return this;
    }
  };
}
