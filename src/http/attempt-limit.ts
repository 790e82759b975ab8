import rateLimit from '@fastify/rate-limit';
import type { FastifyInstance, FastifyPluginAsync, FastifyRequest } from 'fastify';
import { GatewayError } from '../core/errors.ts';

const windowMs = 60_000;

/** Counts failed attempts of each client address. */
export interface AttemptLimit {
  /** @throws {GatewayError} `rate_limit_exceeded` once the address has failed too often */
  check(request: FastifyRequest): Promise<void>;
  count(request: FastifyRequest): Promise<void>;
}

/**
 * Lets an address fail `failuresPerMinute` times a minute, 0 is without limit. Remembers the 5000 addresses
 * that failed last; an IPv6 network of 64 bits is one address, because it is given to one customer.
 */
export function addAttemptLimit(app: FastifyInstance, failuresPerMinute: number): AttemptLimit {
  if (failuresPerMinute === 0) return { check: async () => {}, count: async () => {} };
  let limiter: ReturnType<FastifyInstance['createRateLimit']> | undefined;
  // In a scope of its own: the limits of keys are another instance of the same plugin.
  const counting: FastifyPluginAsync = async (scope) => {
    await scope.register(rateLimit, { global: false });
    limiter = scope.createRateLimit({ max: failuresPerMinute, timeWindow: windowMs });
  };
  app.register(counting);
  return {
    check: async (request) => {
      const state = await limiter?.(request, { increment: false });
      if (state === undefined || state.isAllowed || state.remaining > 0) return;
      throw new GatewayError('rate_limit_exceeded', {
        message: `Too many failed attempts to authenticate from this address; please try again in ${state.ttlInSeconds}s.`,
        retryAfterSeconds: state.ttlInSeconds,
      });
    },
    count: async (request) => {
      await limiter?.(request);
    },
  };
}
