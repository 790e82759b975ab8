import type { Priority } from '../../admission/fair-queue.ts';
import { GatewayError } from '../../core/errors.ts';
import { type ApiKey, isExpired, type KeyLimits, type Scope, scopes } from './api-key.ts';
import type { KeyRing } from './key-ring.ts';
import { isSecret } from './secret.ts';

/** The sender of a request, and its permissions. */
export interface Caller {
  readonly keyId: string;
  readonly scopes: readonly Scope[];
  /** Ids of the models that the caller may use; undefined: all. */
  readonly models: readonly string[] | undefined;
  /** An absent limit is no limit. */
  readonly limits: KeyLimits;
  /** Priority of all requests of the caller; undefined: the priority that each request names. */
  readonly priority: Priority | undefined;
  /** Cached prefixes are shared between requests of an equal scope; undefined is a scope as well. */
  readonly cacheScope: string | undefined;
}

/** The caller of every request while authentication is off. */
export const anonymous: Caller = {
  keyId: 'auth-disabled',
  scopes,
  models: undefined,
  limits: {},
  priority: undefined,
  cacheScope: undefined,
};

/** Settings that apply to all keys. */
export interface KeyPolicy {
  /** Limits of keys without limits of their own. */
  readonly defaultLimits: KeyLimits;
  /** Keys with the admin scope, among the keys whose lines name no scopes; empty: all of them. */
  readonly adminKeyIds: readonly string[];
  /** Whether keys share cached prefixes. */
  readonly sharedCache: boolean;
}

/** Why a request is not authenticated, in the order of the checks. */
export const authenticationReasons = [
  'no-keys',
  'missing',
  'empty',
  'malformed',
  'unknown',
  'expired',
] as const;

export type AuthenticationReason = (typeof authenticationReasons)[number];

const messages: Readonly<Record<AuthenticationReason, string>> = {
  'no-keys': 'Authentication is misconfigured: the server has no valid API key.',
  missing:
    'No API key was sent. Send it as `Authorization: Bearer <key>` or as `X-Api-Key: <key>`.',
  empty: 'The API key that was sent is empty.',
  malformed:
    'The API key has an invalid format: it must be 16 to 128 letters, digits, `-` and `_`.',
  unknown: 'The API key is not known to this server.',
  expired: 'The API key has expired.',
};

/** A request without a valid API key. */
export class AuthenticationError extends GatewayError {
  readonly reason: AuthenticationReason;

  constructor(reason: AuthenticationReason) {
    super('invalid_api_key', { message: messages[reason], param: 'authorization' });
    this.name = 'AuthenticationError';
    this.reason = reason;
  }
}

/**
 * Finds the caller of a secret.
 * @param secret - of the request; undefined: the request has none
 * @param now - milliseconds since 1970
 * @throws {AuthenticationError}
 */
export function recognise(
  secret: string | undefined,
  ring: KeyRing,
  policy: KeyPolicy,
  now = Date.now(),
): Caller {
  if (ring.size === 0) throw new AuthenticationError('no-keys');
  if (secret === undefined) throw new AuthenticationError('missing');
  if (secret === '') throw new AuthenticationError('empty');
  if (!isSecret(secret)) throw new AuthenticationError('malformed');
  const key = ring.find(secret);
  if (key === undefined) throw new AuthenticationError('unknown');
  if (isExpired(key, now)) throw new AuthenticationError('expired');
  return toCaller(key, policy);
}

function toCaller(key: ApiKey, { defaultLimits, adminKeyIds, sharedCache }: KeyPolicy): Caller {
  const { keyId, models, limits, priority } = key;
  const isAdmin = adminKeyIds.length === 0 || adminKeyIds.includes(keyId);
  return {
    keyId,
    scopes: key.scopes ?? (isAdmin ? scopes : ['inference']),
    models,
    limits: { ...defaultLimits, ...limits },
    priority,
    cacheScope: sharedCache ? undefined : keyId,
  };
}
