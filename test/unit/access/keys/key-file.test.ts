import { describe, expect, test } from 'vitest';
import { parseKeyFile } from '../../../../src/access/keys/key-file.ts';
import {
  encodeModel,
  formatKeyLine,
  type KeyLineFields,
  splitKeyLine,
} from '../../../../src/access/keys/key-line.ts';
import {
  digestOf,
  generateSecret,
  guessableBits,
  hashOf,
  isPlaceholder,
  isSecret,
  weakBits,
} from '../../../../src/access/keys/secret.ts';

const secret = 'sk-Zq3vT8mWc1LxR7yKd5Jh';
const other = 'sk-Bn6pX2uGs9FoE4tVa0Mi';
const hash = hashOf(secret);

function only(text: string) {
  const { keys, skipped } = parseKeyFile(text);
  expect(skipped).toEqual([]);
  expect(keys).toHaveLength(1);
  return keys[0];
}

describe('a line that is a key', () => {
  test.each([
    ['with nothing else', `a:${secret}`, {}],
    ['with blanks around its fields', `  a : ${secret} : 60 : `, { requestsPerMinute: 60 }],
    ['with empty fields', `a:${secret}::`, {}],
    ['with a rate limit', `a:${secret}:5`, { requestsPerMinute: 5 }],
    [
      'with every limit',
      `a:${secret} requests_per_minute=1 tokens_per_minute=2 concurrent_requests=3 tokens_per_day=4`,
      { requestsPerMinute: 1, tokensPerMinute: 2, concurrentRequests: 3, tokensPerDay: 4 },
    ],
    ['with attributes in capitals', `a:${secret} TOKENS_PER_DAY=4`, { tokensPerDay: 4 }],
    ['that is hashed', `a:${hash}:7`, { requestsPerMinute: 7 }],
    ['that is hashed in capitals', `a:sha256:${hash.slice(7).toUpperCase()}`, {}],
  ])('%s', (_name, text, limits) => {
    const key = only(text);
    expect(key).toMatchObject({ keyId: 'a', limits, lineNumber: 1 });
    expect(key?.digest).toEqual(digestOf(secret));
    expect(key).toMatchObject({ expiresAt: undefined, models: undefined, scopes: undefined });
  });

  test.each([
    ['2026-12-31', '2026-12-31T00:00:00Z'],
    ['2026-12-31T23:59:59', '2026-12-31T23:59:59Z'],
    ['2026-12-31 23:59', '2026-12-31T23:59:00Z'],
    ['2026-12-31T23:59:59.25Z', '2026-12-31T23:59:59.250Z'],
    ['2026-12-31T23:59:59.123456', '2026-12-31T23:59:59.123Z'],
    ['2026-12-31T23:59:59+02:00', '2026-12-31T21:59:59Z'],
    ['2026-12-31T23:59:59-0530', '2027-01-01T05:29:59Z'],
    ['20261231', '2026-12-31T00:00:00Z'],
    ['20261231T235959Z', '2026-12-31T23:59:59Z'],
    ['2026-W01-1', '2025-12-29T00:00:00Z'],
    ['2026W53', '2026-12-28T00:00:00Z'],
  ])('that expires %s', (text, time) => {
    const expected = Date.parse(time);
    expect(only(`a:${secret}:5:${text}`)?.expiresAt).toBe(expected);
    expect(only(`a:${secret}::${text} scopes=admin`)).toMatchObject({
      expiresAt: expected,
      scopes: ['admin'],
    });
  });

  test('that names its models and scopes', () => {
    expect(only(`a:${secret} models=tiny/story%20model,b scopes=admin,Inference`)).toMatchObject({
      models: ['tiny/story model', 'b'],
      scopes: ['admin', 'inference'],
    });
    expect(encodeModel('tiny/story model, 50%')).toBe('tiny/story%20model%2C%2050%25');
  });
});

describe('a line that is skipped', () => {
  test.each([
    ['without a colon', secret, 'key_id:api_key'],
    ['without a key', 'a:', '16 to 128'],
    ['with an empty id', `:${secret}`, 'key id must be'],
    ['with an id beyond ASCII', `ä:${secret}`, 'key id must be'],
    ['with an id that is too long', `${'a'.repeat(65)}:${secret}`, 'key id must be'],
    ['with a short key', 'a:sk-short', '16 to 128'],
    ['with a long key', `a:${'aB3-'.repeat(33)}`, '16 to 128'],
    ['with a key beyond ASCII', `a:${secret}ß`, '16 to 128'],
    ['with a key of an example', 'a:sk-your-api-key-here', 'placeholder'],
    ['with a broken hash', `a:${hash.slice(0, -1)}`, '64 hexadecimal digits'],
    ['with a rate limit of 0', `a:${secret}:0`, 'the rate limit must be a whole number'],
    ['with a rate limit that is none', `a:${secret}:fast`, 'the rate limit must be'],
    ['with a negative rate limit', `a:${secret}:-5`, 'the rate limit must be'],
    ['with an expiration that is none', `a:${secret}:5:tomorrow`, 'ISO 8601'],
    ['with a day that is none', `a:${secret}:5:2026-02-30`, 'ISO 8601'],
    ['with a week that is none', `a:${secret}:5:2025-W53`, 'ISO 8601'],
    ['with an hour that is none', `a:${secret}:5:2026-02-01T24:00`, 'ISO 8601'],
    ['with an unknown attribute', `a:${secret} token_per_day=5`, 'did you mean tokens_per_day'],
    ['with an attribute twice', `a:${secret} models=a models=b`, 'models is there twice'],
    ['with a word that is none', `a:${secret} models=a b`, 'name=value'],
    ['with an attribute without value', `a:${secret} models=`, 'name=value'],
    ['with two rate limits', `a:${secret}:5 requests_per_minute=5`, 'beside the rate limit'],
    ['with a limit of 0', `a:${secret} tokens_per_minute=0`, 'tokens_per_minute must be'],
    ['with an unknown scope', `a:${secret} scopes=root`, 'scopes must be of inference, admin'],
    ['with an empty model', `a:${secret} models=a,,b`, 'commas between'],
    ['with a model that is not encoded', `a:${secret} models=50%`, '%25'],
  ])('%s', (_name, line, reason) => {
    const { keys, skipped } = parseKeyFile(`# keys\n\n${line}\nb:${other}\n`);
    expect(keys.map(({ keyId }) => keyId)).toEqual(['b']);
    expect(skipped).toEqual([{ line: 3, reason: expect.stringContaining(reason) }]);
    expect(skipped[0]?.reason).not.toContain(secret.slice(3));
  });

  test('because an earlier one has its key, hashed or not', () => {
    const { keys, skipped } = parseKeyFile(`a:${secret}:1\nb:${hash}:2\nc:${other}`);
    expect(keys.map(({ keyId }) => keyId)).toEqual(['a', 'c']);
    expect(skipped).toEqual([{ line: 2, reason: expect.stringContaining('line 1') }]);
  });
});

describe('a key file', () => {
  test('may have a byte order mark, Windows line ends, comments and blank lines', () => {
    const { keys, lines, skipped, warnings } = parseKeyFile(
      `\ufeffa:${secret}:3\r\n\r\n  # a comment: with colons\r\nb:${other}\r\n`,
    );
    expect(keys.map(({ keyId, lineNumber }) => [keyId, lineNumber])).toEqual([
      ['a', 1],
      ['b', 4],
    ]);
    expect(lines.map(({ kind }) => kind)).toEqual(['key', 'other', 'other', 'key']);
    expect([skipped, warnings]).toEqual([[], []]);
  });

  test('that is empty has no lines', () => {
    expect(parseKeyFile('')).toEqual({ lines: [], keys: [], skipped: [], warnings: [] });
  });

  test('may name one id twice, each with its own settings, and is warned about it', () => {
    const { keys, warnings } = parseKeyFile(`a:${secret}:1:2030-01-01\na:${other}`);
    expect(keys).toMatchObject([
      { keyId: 'a', limits: { requestsPerMinute: 1 }, expiresAt: Date.UTC(2030, 0, 1) },
      { keyId: 'a', limits: {}, expiresAt: undefined },
    ]);
    expect(warnings).toEqual([{ line: 2, reason: expect.stringContaining('also on line 1') }]);
  });

  test('warns of a key that is easy to guess, without showing it', () => {
    const weak = 'abababcabababcab';
    const { keys, warnings } = parseKeyFile(`a:${weak}`);
    expect(keys).toHaveLength(1);
    expect(warnings).toEqual([{ line: 1, reason: expect.stringContaining('easy to guess') }]);
    expect(JSON.stringify(warnings)).not.toContain(weak);
  });
});

describe('a line taken apart', () => {
  test.each([
    `a:${secret}`,
    `a:${secret}:5`,
    `a:${secret}::2026-12-31T23:59:59Z`,
    `a:${secret}:5:2026-12-31 23:59 models=x,y scopes=admin`,
    `a:${hash}::2026-12-31 tokens_per_day=9`,
    `a:${hash} concurrent_requests=1`,
  ])('%s is put together again', (line) => {
    expect(formatKeyLine(splitKeyLine(line))).toBe(line);
  });

  test('omits empty fields', () => {
    const fields: KeyLineFields = {
      keyId: 'a',
      secret: 's',
      rateLimit: '',
      expiration: '',
      attributes: new Map(),
    };
    expect(formatKeyLine(fields)).toBe('a:s');
    expect(formatKeyLine({ ...fields, rateLimit: '5' })).toBe('a:s:5');
    expect(formatKeyLine({ ...fields, expiration: '2030-01-01' })).toBe('a:s::2030-01-01');
  });
});

describe('a secret', () => {
  test('that is generated is new, strong and no placeholder', () => {
    const secrets = Array.from({ length: 200 }, generateSecret);
    expect(new Set(secrets).size).toBe(secrets.length);
    for (const each of secrets) {
      expect(each).toMatch(/^sk-[A-Za-z0-9_-]{43}$/);
      expect(isSecret(each) && !isPlaceholder(each)).toBe(true);
      expect(guessableBits(each)).toBeGreaterThan(weakBits);
    }
  });

  test.each([
    'sk-your-secret-key-here',
    'your_api_key_goes_here',
    'sk-prod-changeme-now',
    'replace-me-with-a-key',
    'example-key-example-key',
    'sk-abc123def456ghi789jkl012',
    'aaaaaaaaaaaaaaaaaaaa',
    'sk-1234567890123456',
    'sk-00000000000000000000',
    'my-secret-key-2026-11-29',
    'sk-your-key-v2-here1',
    'dummy-gpt4-key-llm3',
    'your-secret-production-gateway-key',
    'Example-YourSecretKeyHere',
    'secret-abcdefghijklmnopqrstuvwxyz',
    'secret-1234567890123456',
  ])('%s is a placeholder', (text) => {
    expect(isPlaceholder(text)).toBe(true);
  });

  test.each([
    'prod-secret-9f3ac77b1e5d42',
    'secret_Xk9dLmQ2pR7w',
    'sk-secret-a9-Xk_2pQ-9zLm4',
    'example-com-7c1f09ab33de',
    'sample-app-847201938475',
    'password-correcthorsebatterystaple',
    'todo-app-kQzXvBnMtRpLwJ',
    'change-550e8400-e29b-41d4-a716-446655440000',
    'SECRET-9F3AC77B1E5D42',
  ])('%s is a key: a part of it is random', (text) => {
    expect(isPlaceholder(text)).toBe(false);
  });

  test('has a hash that does not change', () => {
    expect(hashOf('abc')).toBe(
      'sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
    );
  });
});
