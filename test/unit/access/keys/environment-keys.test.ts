import { expect, test } from 'vitest';
import { readEnvironmentKeys } from '../../../../src/access/keys/environment-keys.ts';
import { hashOf } from '../../../../src/access/keys/secret.ts';
import { secrets } from '../../../support/test-keys.ts';

const { alice, bob } = secrets;

test.each([
  [alice, ['env-1']],
  [` ${alice} , app:${bob},`, ['env-1', 'app']],
  [`${hashOf(alice)},app:${hashOf(bob)}:60 models=a`, ['env-1', 'app']],
])('%s are keys', (text, ids) => {
  const { keys, skipped } = readEnvironmentKeys(text);
  expect(skipped).toEqual([]);
  expect(keys.map(({ keyId }) => keyId)).toEqual(ids);
});

test.each([
  'short',
  `${alice},short`,
  `a b:${alice}`,
  'sk-your-api-key-here-0000',
  `${alice},${alice}`,
])('%s has a key that is none', (text) => {
  expect(readEnvironmentKeys(text).skipped).toHaveLength(1);
});

test('a limit is that of its key', () => {
  const [key] = readEnvironmentKeys(`app:${alice}:60 tokens_per_day=5`).keys;
  expect(key?.limits).toEqual({ requestsPerMinute: 60, tokensPerDay: 5 });
});
