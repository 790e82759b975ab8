/**
 * Finds the owner of a request's key before the body is read. One of several headers holds the key: `@fastify/auth` tries
 * them in turn (docs/decisions/0018-authentication-headers.md).
 */
import fastifyAuth from '@fastify/auth';
import bearerAuth from '@fastify/bearer-auth';
import type { FastifyReply, FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';
import {
  AuthenticationError,
  type AuthenticationReason,
  authenticationReasons,
  type KeyPolicy,
  recognise,
} from '../access/keys/caller.ts';
import type { KeySource } from '../access/keys/key-source.ts';
import { accessOf } from './access.ts';
import { type AttemptLimitOptions, attemptLimit } from './attempt-limit.ts';

export interface AuthenticationOptions extends KeyPolicy, AttemptLimitOptions {
  readonly keys: KeySource;
}

/** The failures that may be guesses. Other failures must not count against the other clients of an address. */
const guesses: readonly AuthenticationReason[] = ['malformed', 'unknown'];

/** The headers beside `Authorization` that hold a key: that of Anthropic's clients and many others, and Azure's. */
const keyHeaders = ['x-api-key', 'api-key'] as const;

/** Leads to the next alternative; never sent. */
const notThisWay = new Error('not this way');

export const authentication = fp<AuthenticationOptions>(async (app, options) => {
  const { keys, failuresPerMinute } = options;
  /** The keys of a request that are not valid, and why. */
  const refused = new WeakMap<FastifyRequest, Map<string, AuthenticationReason>>();
  app.decorateRequest('caller');
  await app.register(attemptLimit, { failuresPerMinute });
  await app.register(fastifyAuth);
  await app.register(bearerAuth, {
    addHook: false,
    // The scheme in any case.
    specCompliance: 'rfc6749',
    // None of its own: the key ring changes while the server runs, and compares digests.
    keys: [],
    auth: (key, request) => accept(request, key),
    // The error handler logs each refusal.
    verifyErrorLogLevel: 'trace',
  });

  /**
   * Lets the owner of the key in. Clients with a setting for one header send a dummy in another, so every key is tried.
   * @returns false for a header without a key, or with one that was tried
   * @throws {AuthenticationError} for a key that is not valid
   */
  function accept(request: FastifyRequest, value: string | undefined): boolean {
    const key = keyOf(value);
    const tried = refused.get(request) ?? new Map<string, AuthenticationReason>();
    if (key === '' || tried.has(key)) return false;
    try {
      request.caller = recognise(key, keys.ring, options);
      return true;
    } catch (error) {
      if (error instanceof AuthenticationError) refused.set(request, tried.set(key, error.reason));
      throw error;
    }
  }

  async function openRoute(request: FastifyRequest): Promise<void> {
    if (accessOf(request) !== 'open') throw notThisWay;
  }

  /** Without a scheme, or with another one than that of bearer tokens. */
  async function authorizationAlone(request: FastifyRequest): Promise<void> {
    const { authorization } = request.headers;
    if (!accept(request, passwordOf(authorization) ?? authorization)) throw notThisWay;
  }

  function keyHeader(name: (typeof keyHeaders)[number]) {
    return async (request: FastifyRequest): Promise<void> => {
      const value = request.headers[name];
      if (!accept(request, typeof value === 'string' ? value : undefined)) throw notThisWay;
    };
  }

  async function refuse(request: FastifyRequest, reply: FastifyReply): Promise<never> {
    const { headers, trace, ip } = request;
    const found = [...(refused.get(request)?.values() ?? [])];
    const isSent = ['authorization', ...keyHeaders].some((name) => headers[name] !== undefined);
    const withoutKey = keys.ring.size === 0 ? 'no-keys' : isSent ? 'empty' : 'missing';
    // Of several keys, the one that passed most checks is meant.
    const reason = authenticationReasons.findLast((each) => found.includes(each)) ?? withoutKey;
    trace.keyFailure = reason;
    request.log = reply.log = request.log.child({ reason, address: ip });
    for (const each of found) {
      if (guesses.includes(each)) await app.countFailedAttempt(request);
    }
    throw new AuthenticationError(reason);
  }

  const { verifyBearerAuth } = app;
  if (verifyBearerAuth === undefined) throw new Error('@fastify/bearer-auth is missing');
  app.addHook(
    'onRequest',
    app.auth([
      openRoute,
      verifyBearerAuth,
      authorizationAlone,
      ...keyHeaders.map(keyHeader),
      refuse,
    ]),
  );
});

/**
 * The key in the value of a header: the last word, because people write schemes where none belong, or twice. Quotes,
 * which files of settings may add, belong to no key.
 * @returns an empty text where there is none
 */
function keyOf(value = ''): string {
  const words = value.trim().split(/\s+/);
  const last = words.at(-1) ?? '';
  if (words.length === 1 && /^(bearer|basic|token|key|api-?key)$/i.test(last)) return '';
  return last.replace(/^(["'])(.*)\1$/, '$2');
}

/** The password of a Basic header, or its user where the password is empty, as in `https://<key>@host`. */
function passwordOf(authorization = ''): string | undefined {
  const encoded = /^\s*basic\s+(\S*)\s*$/i.exec(authorization)?.[1];
  if (encoded === undefined) return undefined;
  const [user = '', ...password] = Buffer.from(encoded, 'base64').toString('utf8').split(':');
  return password.join(':') || user;
}
