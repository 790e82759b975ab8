import { readEnvironmentKeys } from '../../access/keys/environment-keys.ts';
import { isKeyId } from '../../access/keys/key-line.ts';
import {
  addresses,
  integer,
  list,
  text,
  truth,
  url,
  type ValueKind,
} from '../../core/value-kinds.ts';
import { setting } from '../setting.ts';

/** The text of keys, each of them valid. */
function environmentKeys(): ValueKind<string> {
  return {
    expectation:
      'API keys with commas between, each KEY, NAME:KEY or NAME:sha256:HEX; a key has 16 to 128 letters, digits, "-" and "_", and is not that of an example',
    placeholder: 'KEYS',
    parse: (value) => {
      const { keys, skipped } = readEnvironmentKeys(value);
      return keys.length > 0 && skipped.length === 0 ? value : undefined;
    },
  };
}

const limit = () => integer({ min: 0, max: Number.MAX_SAFE_INTEGER });

/** Who may use the server, and how much. */
export const keySettings = {
  AUTH_ENABLED: setting({
    at: 'auth.enabled',
    kind: truth(),
    fallback: true,
    summary: 'require an API key',
  }),
  AUTH_KEYS_FILE: setting({
    kind: text('PATH'),
    fallbackText: '$DATA_DIR/api_keys.txt',
    summary: 'file with the API keys',
  }),
  API_KEYS: setting({
    at: 'auth.environmentKeys',
    kind: environmentKeys(),
    fallbackText: 'none',
    summary:
      'API keys beside those of the file, with commas between: KEY, NAME:KEY or NAME:sha256:HEX',
    secret: true,
  }),
  ADMIN_KEY_IDS: setting({
    at: 'auth.adminKeyIds',
    kind: list('ID,...', isKeyId, 'key ids'),
    fallback: [],
    fallbackText: 'all',
    summary: 'keys that may run the server, among the keys whose lines name no scopes',
  }),
  METRICS_AUTH_ENABLED: setting({
    at: 'auth.protectedMetrics',
    kind: truth(),
    fallback: false,
    summary: 'require an API key for /metrics, too',
  }),
  AUTH_FAILURES_PER_MINUTE: setting({
    at: 'auth.failuresPerMinute',
    kind: integer({ min: 0, max: 1_000_000 }),
    fallback: 30,
    summary: 'wrong keys per minute after which a client address has to wait; 0 = any number',
  }),
  TRUSTED_PROXIES: setting({
    at: 'server.trustedProxies',
    kind: addresses(),
    fallback: [],
    fallbackText: 'none',
    summary: 'proxies whose X-Forwarded-For is believed',
  }),
  MAX_REQUESTS_PER_MINUTE: setting({
    at: 'auth.defaultLimits.requestsPerMinute',
    kind: integer({ min: 1, max: 1_000_000_000 }),
    fallback: 100,
    summary: 'requests per minute of a key whose line names no limit',
  }),
  MAX_TOKENS_PER_MINUTE: setting({
    at: 'auth.defaultLimits.tokensPerMinute',
    kind: limit(),
    fallback: 0,
    none: 0,
    summary: 'tokens per minute of a key whose line names no limit; 0 = no limit',
  }),
  MAX_TOKENS_PER_DAY: setting({
    at: 'auth.defaultLimits.tokensPerDay',
    kind: limit(),
    fallback: 0,
    none: 0,
    summary: 'tokens per day of a key whose line names no limit; 0 = no limit',
  }),
  MAX_CONCURRENT_PER_KEY: setting({
    at: 'auth.defaultLimits.concurrentRequests',
    kind: limit(),
    fallback: 0,
    none: 0,
    summary: 'simultaneous requests of a key whose line names no limit; 0 = no limit',
  }),
  REDIS_URL: setting({
    at: 'auth.redisUrl',
    kind: url('redis:', 'rediss:'),
    fallbackText: 'each server counts by itself',
    summary: 'Redis that counts what keys use, for several servers together',
    secret: true,
  }),
  CACHE_SHARING: setting({
    at: 'auth.sharedCache',
    kind: truth(),
    fallback: false,
    summary: 'let a key reuse prefixes that requests of other keys computed',
  }),
};
