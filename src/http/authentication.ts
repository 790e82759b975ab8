import type { IncomingHttpHeaders } from 'node:http';
import bearerAuth from '@fastify/bearer-auth';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Scope } from '../access/keys/api-key.ts';
import {
  AuthenticationError,
  type AuthenticationReason,
  anonymous,
  type Caller,
  type KeyPolicy,
  recognise,
} from '../access/keys/caller.ts';
import type { KeySource } from '../access/keys/key-source.ts';
import { GatewayError } from '../core/errors.ts';
import type { ModelRegistry } from '../model/registry.ts';
import { addAttemptLimit } from './attempt-limit.ts';

/** Who may use a route: everybody, every key, or keys with a scope. */
export type Access = 'open' | 'key' | Scope;

declare module 'fastify' {
  interface FastifyRequest {
    /** Who it is from; undefined on routes that are open. */
    caller: Caller | undefined;
  }
  interface FastifyContextConfig {
    /** A route that does not say needs the scope `inference`. */
    access?: Access;
  }
}

/** How requests are authenticated. */
export interface AuthenticationOptions {
  readonly keys: KeySource;
  readonly policy: KeyPolicy;
  /** Of one address, before it has to wait; 0 is without limit. */
  readonly failuresPerMinute: number;
  /** Whether `/metrics` needs a key. */
  readonly protectedMetrics: boolean;
}

/** Failures that may be guesses. Other clients of the same address must not suffer from the rest. */
const guesses: readonly AuthenticationReason[] = ['malformed', 'unknown'];

/**
 * Lets requests in by their key, before anything of their body is read, and says who they are from.
 * @param options - undefined lets everybody in
 */
export function addAuthentication(
  app: FastifyInstance,
  options: AuthenticationOptions | undefined,
  models: ModelRegistry,
): void {
  app.decorateRequest('caller');
  if (options === undefined) {
    app.addHook('onRequest', async (request, reply) => {
      if (accessOf(request, false) !== 'open') setCaller(request, reply, anonymous);
    });
    return;
  }
  const { keys, policy, failuresPerMinute, protectedMetrics } = options;
  const attempts = addAttemptLimit(app, failuresPerMinute);
  app.register(bearerAuth, {
    keys: [],
    addHook: false,
    specCompliance: 'rfc6749',
    verifyErrorLogLevel: 'debug',
    auth: (secret, request) => {
      request.caller = recognise(secret, keys.ring, policy);
      return true;
    },
  });

  app.addHook('onRequest', async (request, reply) => {
    const access = accessOf(request, protectedMetrics);
    if (access === 'open') return;
    try {
      await attempts.check(request);
      const secret = sentSecret(request.headers);
      // The plugin has words of its own for a request without a key.
      if (secret === undefined || secret === '') recognise(secret, keys.ring, policy);
      request.raw.headers.authorization = `Bearer ${secret}`;
      await verify(app, request, reply);
    } catch (error) {
      if (!(error instanceof AuthenticationError)) throw error;
      const { reason } = error;
      request.trace.keyFailure = reason;
      request.log = reply.log = request.log.child({ reason, address: request.ip });
      if (guesses.includes(reason)) await attempts.count(request);
      throw error;
    }
    const { caller } = request;
    if (caller === undefined) throw new GatewayError('internal_error');
    setCaller(request, reply, caller);
    if (access !== 'key') requireScope(caller, access);
    if (access === 'inference') requireModel(caller, models);
  });
}

function setCaller(request: FastifyRequest, reply: FastifyReply, caller: Caller): void {
  request.caller = caller;
  request.log = reply.log = request.log.child({ keyId: caller.keyId });
}

/** What is not there is told apart only for those with a key. */
function accessOf(request: FastifyRequest, protectedMetrics: boolean): Access {
  if (request.is404) return 'key';
  const { url, config } = request.routeOptions;
  if (url === '/metrics') return protectedMetrics ? 'key' : 'open';
  return config.access ?? 'inference';
}

/** `Authorization` with the scheme Bearer in any case or with none, else `X-Api-Key`. */
function sentSecret(headers: IncomingHttpHeaders): string | undefined {
  const authorization = headers.authorization?.replace(/^\s*bearer(\s+|$)/i, '').trim();
  const apiKey = headers['x-api-key'];
  return authorization || (typeof apiKey === 'string' ? apiKey.trim() : authorization);
}

function verify(app: FastifyInstance, request: FastifyRequest, reply: FastifyReply) {
  return new Promise<void>((resolve, reject) => {
    if (app.verifyBearerAuth === undefined) throw new Error('@fastify/bearer-auth is missing');
    app.verifyBearerAuth(request, reply, (error) =>
      error === undefined ? resolve() : reject(error),
    );
  });
}

function requireScope({ scopes }: Caller, scope: Scope): void {
  if (scopes.includes(scope)) return;
  throw new GatewayError('insufficient_scope', {
    message: `The API key may not do this: it needs the scope \`${scope}\`.`,
  });
}

/** Every request is answered by the served model, whatever it names. */
function requireModel({ models: allowed }: Caller, { current }: ModelRegistry): void {
  if (allowed === undefined || current === undefined || allowed.includes(current.card.id)) return;
  throw new GatewayError('model_not_allowed', {
    param: 'model',
    message: 'The API key may not use the model of this server.',
  });
}
