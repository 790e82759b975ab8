import type { Priority } from '../../admission/fair-queue.ts';

/** What a key may be used for: to ask the model, or to run the server. */
export type Scope = 'inference' | 'admin';

export const scopes: readonly Scope[] = ['inference', 'admin'];

/** What one key may use. A limit that is left out is the server's default. */
export interface KeyLimits {
  readonly requestsPerMinute?: number;
  /** Prompt and completion tokens together. */
  readonly tokensPerMinute?: number;
  /** Requests that are answered at the same time. */
  readonly concurrentRequests?: number;
  /** Prompt and completion tokens of one day, which begins at midnight UTC. */
  readonly tokensPerDay?: number;
}

/** One entry of the key file. The secret itself is not kept, only what it is compared by. */
export interface ApiKey {
  /** Names the key in logs and limits; 1 to 64 ASCII letters, digits, `-` and `_`. Not secret. */
  readonly keyId: string;
  /** SHA-256 of the secret, 32 bytes. */
  readonly digest: Buffer;
  /** Whether the file holds the hash, too. */
  readonly hashed: boolean;
  readonly limits: KeyLimits;
  /** Milliseconds since 1970; undefined is never. */
  readonly expiresAt: number | undefined;
  /** Ids of the models it may use; undefined is all. */
  readonly models: readonly string[] | undefined;
  /** Of its requests, whatever they ask for; undefined leaves it to them. */
  readonly priority: Priority | undefined;
  /** Undefined where the line does not say. */
  readonly scopes: readonly Scope[] | undefined;
  /** Of its line in the file, from 1. */
  readonly lineNumber: number;
}

/** Whether the key is over at that moment, in milliseconds since 1970. */
export function isExpired({ expiresAt }: Pick<ApiKey, 'expiresAt'>, now: number): boolean {
  return expiresAt !== undefined && expiresAt <= now;
}
