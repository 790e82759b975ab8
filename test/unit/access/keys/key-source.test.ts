import { chmodSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { type Caller, recognise } from '../../../../src/access/keys/caller.ts';
import { KeySource } from '../../../../src/access/keys/key-source.ts';
import { permissionWarnings } from '../../../../src/access/keys/read-key-file.ts';
import { hashOf } from '../../../../src/access/keys/secret.ts';
import { secrets, withKeys } from '../../../support/test-keys.ts';

let folder: string;
let path: string;
let logLines: Record<string, unknown>[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lgi-keys-'));
  path = join(folder, 'api_keys.txt');
  logLines = [];
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Keys of the test's file, not read yet. */
function source(adminKeyIds: readonly string[] = []) {
  const logger = pino({}, { write: (line: string) => logLines.push(JSON.parse(line)) });
  return new KeySource({ path, logger, adminKeyIds });
}

const messages = () => logLines.map(({ msg }) => msg);

describe('a key source', () => {
  test('reads its file, reports ids and skipped lines, and never a secret', async () => {
    writeFileSync(path, `alice:${secrets.alice}\nnonsense\nbob:${hashOf(secrets.bob)}\n`);
    chmodSync(path, 0o640);
    const keys = source();
    await keys.open();
    expect(keys.ring.size).toBe(2);
    expect(keys.ring.find(secrets.alice)?.keyId).toBe('alice');
    expect(keys.ring.find(secrets.bob)?.keyId).toBe('bob');
    expect(keys.ring.find(secrets.carol)).toBeUndefined();
    expect(logLines).toEqual([
      expect.objectContaining({ level: 40, msg: expect.stringContaining('mode 640') }),
      expect.objectContaining({ level: 40, line: 2, reason: expect.any(String) }),
      expect.objectContaining({ level: 30, keys: 2, keyIds: ['alice', 'bob'] }),
    ]);
    expect(JSON.stringify(logLines)).not.toContain(secrets.alice.slice(3));
  });

  test.each([
    ['without a file', undefined, /cannot be read: there is no such file/],
    ['with an empty file', '', undefined],
    ['with nothing but bad lines', 'nonsense\n', undefined],
  ])('%s starts without keys, and warns', async (_name, text, reason) => {
    if (text !== undefined) writeFileSync(path, text, { mode: 0o600 });
    const keys = source();
    await keys.open();
    expect(keys.ring.size).toBe(0);
    expect(messages().at(-1)).toMatch(/^there are no API keys: .*keys generate/);
    if (reason !== undefined) expect(messages()[0]).toMatch(reason);
  });

  test.each([
    ['cannot be read', () => rmSync(path), /there is no such file; the previous keys \(1\) stay/],
    [
      'is empty',
      () => writeFileSync(path, '\n# none\n'),
      /has no valid key; the previous keys \(1\)/,
    ],
    [
      'has bad lines only',
      () => writeFileSync(path, 'nonsense'),
      /has no valid key; the previous keys \(1\)/,
    ],
  ])('keeps its keys when the new file %s', async (_name, spoil, reason) => {
    writeFileSync(path, `alice:${secrets.alice}\n`, { mode: 0o600 });
    const keys = source();
    await keys.open();
    spoil();
    await expect(keys.load()).rejects.toThrow(reason);
    expect(keys.ring.find(secrets.alice)).toBeDefined();
    expect(logLines.at(-1)).toMatchObject({ level: 50, msg: expect.stringMatching(reason) });
  });

  test('takes the valid lines of a new file, and names the others', async () => {
    writeFileSync(path, `alice:${secrets.alice}\n`, { mode: 0o600 });
    const keys = source();
    await keys.open();
    writeFileSync(path, `bob:${secrets.bob}\nnonsense\n`);
    expect(await keys.load()).toEqual({
      keyCount: 1,
      skipped: [{ line: 2, reason: expect.any(String) }],
    });
    expect(keys.ring.find(secrets.alice)).toBeUndefined();
    expect(keys.ring.find(secrets.bob)).toBeDefined();
  });

  test('reads its file again when it is replaced, and when it comes back', async () => {
    writeFileSync(path, `alice:${secrets.alice}\n`, { mode: 0o600 });
    const keys = source();
    await keys.open();
    onTestFinished(keys.watch(20));
    const replaceWith = (text: string) => {
      writeFileSync(`${path}.new`, text, { mode: 0o600 });
      renameSync(`${path}.new`, path);
    };
    replaceWith(`bob:${secrets.bob}\n`);
    await expect.poll(() => keys.ring.keyIds, { timeout: 10_000 }).toEqual(['bob']);
    rmSync(path);
    await expect
      .poll(messages, { timeout: 10_000 })
      .toContainEqual(expect.stringContaining('there is no such file'));
    expect(keys.ring.keyIds).toEqual(['bob']);
    replaceWith(`carol:${secrets.carol}\n`);
    await expect.poll(() => keys.ring.keyIds, { timeout: 10_000 }).toEqual(['carol']);
  });

  test('warns of admins that it does not have', async () => {
    writeFileSync(path, `alice:${secrets.alice}\n`, { mode: 0o600 });
    await source(['alice', 'root']).open();
    expect(logLines.at(-1)).toMatchObject({ level: 40, keyIds: ['root'] });
  });

  test.each([
    [0o100600, 'linux', []],
    [0o100400, 'linux', []],
    [0o100644, 'linux', [expect.stringContaining('may read it (mode 644)')]],
    [0o100620, 'linux', [expect.stringContaining('may read or change it (mode 620)')]],
    [0o100666, 'win32', []],
  ] as const)('finds mode %o on %s worth %j', (mode, platform, warnings) => {
    expect(permissionWarnings(mode, platform)).toEqual(warnings);
  });
});

describe('what a key may do', () => {
  async function callerOf(attributes: string, adminKeyIds: readonly string[]): Promise<Caller> {
    const access = await withKeys(`alice:${secrets.alice}:5${attributes}`, {
      adminKeyIds,
      defaultLimits: { requestsPerMinute: 100, tokensPerDay: 9 },
    });
    return recognise(secrets.alice, access.keys.ring, access);
  }

  test.each([
    ['', [], ['inference', 'admin']],
    ['', ['alice'], ['inference', 'admin']],
    ['', ['bob'], ['inference']],
    [' scopes=admin', ['bob'], ['admin']],
    [' scopes=inference', ['alice'], ['inference']],
  ] as const)('with%s among the admins %j is %j', async (attributes, adminKeyIds, scopes) => {
    expect((await callerOf(attributes, adminKeyIds)).scopes).toEqual(scopes);
  });

  test('is limited by its line, then by the settings', async () => {
    expect((await callerOf(' tokens_per_minute=7', [])).limits).toEqual({
      requestsPerMinute: 5,
      tokensPerMinute: 7,
      tokensPerDay: 9,
    });
  });

  test('ends with its last moment', async () => {
    const access = await withKeys(`a:${secrets.alice}::2026-11-24T12:00:00+01:00`);
    const end = Date.UTC(2026, 10, 24, 11);
    expect(recognise(secrets.alice, access.keys.ring, access, end - 1).keyId).toBe('a');
    expect(() => recognise(secrets.alice, access.keys.ring, access, end)).toThrow('has expired');
  });
});
