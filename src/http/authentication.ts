/**
 * Finds the owner of a request's key before the body is read. One of three headers holds the key: `@fastify/auth` tries
 * them in turn (docs/decisions/0018-authentication-headers.md).
 */
import fastifyAuth from '@fastify/auth';
import bearerAuth from '@fastify/bearer-auth';
import type { FastifyReply, FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';
import {
  AuthenticationError,
  type AuthenticationReason,
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

/** Leads to the next alternative; never sent. */
const notThisWay = new Error('not this way');

export const authentication = fp<AuthenticationOptions>(async (app, options) => {
  const { keys, failuresPerMinute } = options;
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
   * Lets the owner of the key in. The first header with a key decides.
   * @returns false for a header without a key
   * @throws {AuthenticationError} for a key that is not valid
   */
  function accept(request: FastifyRequest, key: string | undefined): boolean {
    if (key === undefined || key === '' || request.trace.keyFailure !== undefined) return false;
    try {
      request.caller = recognise(key, keys.ring, options);
      return true;
    } catch (error) {
      if (error instanceof AuthenticationError) request.trace.keyFailure = error.reason;
      throw error;
    }
  }

  async function openRoute(request: FastifyRequest): Promise<void> {
    if (accessOf(request) !== 'open') throw notThisWay;
  }

  async function authorizationAlone(request: FastifyRequest): Promise<void> {
    const key = request.headers.authorization?.replace(/^\s*bearer(\s+|$)/i, '').trim();
    if (!accept(request, key)) throw notThisWay;
  }

  async function apiKeyHeader(request: FastifyRequest): Promise<void> {
    const key = request.headers['x-api-key'];
    if (!accept(request, typeof key === 'string' ? key.trim() : undefined)) throw notThisWay;
  }

  async function refuse(request: FastifyRequest, reply: FastifyReply): Promise<never> {
    const { headers, trace, ip } = request;
    const isSent = headers.authorization !== undefined || headers['x-api-key'] !== undefined;
    const withoutKey = isSent ? 'empty' : 'missing';
    const reason = trace.keyFailure ?? (keys.ring.size === 0 ? 'no-keys' : withoutKey);
    trace.keyFailure = reason;
    request.log = reply.log = request.log.child({ reason, address: ip });
    if (guesses.includes(reason)) await app.countFailedAttempt(request);
    throw new AuthenticationError(reason);
  }

  const { verifyBearerAuth } = app;
  if (verifyBearerAuth === undefined) throw new Error('@fastify/bearer-auth is missing');
  app.addHook(
    'onRequest',
    app.auth([openRoute, verifyBearerAuth, authorizationAlone, apiKeyHeader, refuse]),
  );
});
