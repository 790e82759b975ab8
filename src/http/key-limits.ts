/** Applies the limits of each key (`access/limits/`), and sends in headers what is left of them. */
import { randomUUID } from 'node:crypto';
import type { FastifyReply } from 'fastify';
import fp from 'fastify-plugin';
import { type Allowance, formatReset } from '../access/limits/allowance.ts';
import { KeyRequestMeter } from '../access/limits/key-request-meter.ts';
import { KeyTokenMeter, tokensLeft } from '../access/limits/key-token-meter.ts';
import type { LimitStore } from '../access/limits/limit-store.ts';
import type { TokenMeter } from '../access/limits/token-meter.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** False for a POST that computes nothing: it is none of its key's concurrent requests. */
    readonly takesPlace?: boolean;
  }
  interface FastifyRequest {
    /** Counts the tokens of the request against its key; undefined where nothing is limited. */
    meter: TokenMeter | undefined;
    /** Settles when the request's work is done, where that goes on behind its reply. */
    outlived: Promise<void> | undefined;
  }
}

export interface KeyLimitsOptions {
  /** Where uses are counted; undefined: keys have no limits. */
  readonly store: LimitStore | undefined;
}

/**
 * Counts the requests of a minute and the concurrent requests before the body is read. Counts tokens through the
 * request's meter, once their number is known. Registered after authentication.
 */
export const keyLimits = fp<KeyLimitsOptions>(async (app, { store }) => {
  app.decorateRequest('meter');
  app.decorateRequest('outlived');
  if (store === undefined) return;
  app.addHook('onRequest', async (request, reply) => {
    const { caller } = request;
    if (caller === undefined) return;
    const id = randomUUID();
    request.meter = new KeyTokenMeter(store, caller, id, (left) => show(reply, 'tokens', left));
    const tokens = await tokensLeft(store, caller);
    if (tokens !== undefined) show(reply, 'tokens', tokens);
    const requests = new KeyRequestMeter(store, caller, id);
    await requests.count((left) => show(reply, 'requests', left));
    // Another limit of the key may still refuse the request, or a server that is too busy.
    whenOver(reply, () => {
      const refused = [429, 503].includes(reply.raw.statusCode);
      void Promise.resolve(request.outlived).then(() => requests.end({ refused }));
    });
    if (request.routeOptions.config.takesPlace !== false && request.method === 'POST') {
      await requests.holdPlace();
    }
  });
});

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
