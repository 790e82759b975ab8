import type { Priority } from '../../admission/fair-queue.ts';

/** What a key may be used for: requests to the model, or the administration of the server. */
export type Scope = 'inference' | 'admin';

export const scopes: readonly Scope[] = ['inference', 'admin'];

/** Limits of one key. The server's default applies to an absent limit. */
export interface KeyLimits {
  readonly requestsPerMinute?: number;
  /** Prompt and completion tokens together. */
  readonly tokensPerMinute?: number;
  /** Simultaneous requests. */
  readonly concurrentRequests?: number;
  /** Prompt and completion tokens of one day, which begins at midnight UTC. */
  readonly tokensPerDay?: number;
}

/** One entry of the key file. The secret itself is not kept, only its digest. */
export interface ApiKey {
  /** Names the key in logs and limits; 1 to 64 ASCII letters, digits, `-` and `_`. Not secret. */
  readonly keyId: string;
  /** SHA-256 of the secret, 32 bytes. */
  readonly digest: Buffer;
  /** Whether the file contains the hash instead of the secret. */
  readonly hashed: boolean;
  readonly limits: KeyLimits;
  /** Milliseconds since 1970; undefined: never. */
  readonly expiresAt: number | undefined;
  /** Ids of the models that the key may use; undefined: all. */
  readonly models: readonly string[] | undefined;
  /** Priority of all requests of the key; undefined: the priority that each request names. */
  readonly priority: Priority | undefined;
  /** Undefined where the line names none. */
  readonly scopes: readonly Scope[] | undefined;
  /** Line in the file, from 1. */
  readonly lineNumber: number;
}

/** Whether the key has expired at a time in milliseconds since 1970. */
export function isExpired({ expiresAt }: Pick<ApiKey, 'expiresAt'>, now: number): boolean {
  return expiresAt !== undefined && expiresAt <= now;
}
