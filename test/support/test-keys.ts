import pino from 'pino';
import { KeySource } from '../../src/access/keys/key-source.ts';
import type { AccessOptions } from '../../src/server/gateway.ts';

/** Secrets of a few keys; strong enough that no line with one is warned about. */
export const secrets = {
  alice: 'sk-Q7yTn0x5oPz2mVb8KdLcRw',
  bob: 'sk-u3JfWq9ZsAe6HtGk1XiNyC',
  carol: 'sk-M4rDv7UoBg0YlPc5EjSxTh',
} as const;

/** The keys of a key file with this text. */
export async function withKeys(
  text: string,
  options: Partial<Omit<AccessOptions, 'keys'>> = {},
): Promise<AccessOptions> {
  const keys = new KeySource({
    path: '/keys.txt',
    logger: pino({ level: 'silent' }),
    read: async () => ({ text, warnings: [] }),
  });
  await keys.load();
  return {
    keys,
    defaultLimits: {},
    adminKeyIds: [],
    sharedCache: false,
    failuresPerMinute: 0,
    protectedMetrics: false,
    ...options,
  };
}

/** The header a key is sent in. */
export function bearer(secret: string): { readonly authorization: string } {
  return { authorization: `Bearer ${secret}` };
}
