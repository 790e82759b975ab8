import pino from 'pino';
import type { KeyPolicy } from '../../src/access/keys/caller.ts';
import { KeySource } from '../../src/access/keys/key-source.ts';
import type { AccessOptions } from '../../src/server/gateway.ts';

/** Secrets of a few keys; strong enough that no line with one is warned about. */
export const secrets = {
  alice: 'sk-Q7yTn0x5oPz2mVb8KdLcRw',
  bob: 'sk-u3JfWq9ZsAe6HtGk1XiNyC',
  carol: 'sk-M4rDv7UoBg0YlPc5EjSxTh',
} as const;

/** How tests authenticate, where they do not say otherwise. */
export interface TestAuthentication
  extends Partial<Omit<AccessOptions, 'keys' | 'policy'>>,
    Partial<KeyPolicy> {}

/** Keys of a file that exists only in this text, already read. */
export async function withKeys(
  text: string,
  { failuresPerMinute = 0, protectedMetrics = false, ...policy }: TestAuthentication = {},
): Promise<AccessOptions & { readonly keys: KeySource }> {
  const keys = new KeySource({
    path: '/keys.txt',
    logger: pino({ level: 'silent' }),
    read: async () => ({ text, warnings: [] }),
  });
  await keys.load();
  return {
    keys,
    policy: { defaultLimits: {}, adminKeyIds: [], sharedCache: false, ...policy },
    failuresPerMinute,
    protectedMetrics,
  };
}

/** The header a key is sent in. */
export function bearer(secret: string): { readonly authorization: string } {
  return { authorization: `Bearer ${secret}` };
}
