import { timingSafeEqual } from 'node:crypto';
import type { ApiKey } from './api-key.ts';
import { digestOf } from './secret.ts';

/** The valid keys. Immutable; a reload creates another ring. */
export class KeyRing {
  readonly #keys: readonly ApiKey[];

  constructor(keys: readonly ApiKey[]) {
    this.#keys = keys;
  }

  get size(): number {
    return this.#keys.length;
  }

  /** Distinct, in the order of the file. */
  get keyIds(): readonly string[] {
    return [...new Set(this.#keys.map(({ keyId }) => keyId))];
  }

  /**
   * The key with that secret. Compares digests of one length with every key, so that the time reveals neither how near a
   * guess was nor which key matched.
   */
  find(secret: string): ApiKey | undefined {
    const digest = digestOf(secret);
    let found: ApiKey | undefined;
    for (const key of this.#keys) if (timingSafeEqual(key.digest, digest)) found = key;
    return found;
  }
}
