/** Limits how often a client address may fail to authenticate. */
import rateLimit from '@fastify/rate-limit';
import fp from 'fastify-plugin';
import { GatewayError } from '../core/errors.ts';
import { accessOf } from './access.ts';

declare module 'fastify' {
  interface FastifyInstance {
    countFailedAttempt(request: FastifyRequest): Promise<void>;
  }
}

const windowMs = 60_000;

export interface AttemptLimitOptions {
  /** 0 is without limit. */
  readonly failuresPerMinute: number;
}

/**
 * Refuses every request of an address that has failed `failuresPerMinute` times in a minute, whatever its key. Keeps
 * the 5000 addresses that failed last. An IPv6 network of 64 bits counts as one address, because providers assign one
 * to each customer.
 */
export const attemptLimit = fp<AttemptLimitOptions>(async (app, { failuresPerMinute }) => {
  if (failuresPerMinute === 0) {
    app.decorate('countFailedAttempt', async () => {});
    return;
  }
  await app.register(rateLimit, { global: false });
  const count = app.createRateLimit({ max: failuresPerMinute, timeWindow: windowMs });
  app.decorate('countFailedAttempt', async (request) => {
    await count(request);
  });
  app.addHook('onRequest', async (request) => {
    if (accessOf(request) === 'open') return;
    const state = await count(request, { increment: false });
    if (state.isAllowed || state.remaining > 0) return;
    throw new GatewayError('rate_limit_exceeded', {
      message: `Too many failed attempts to authenticate from this address; please try again in ${state.ttlInSeconds}s.`,
      retryAfterMs: state.ttlInSeconds * 1000,
    });
  });
});
