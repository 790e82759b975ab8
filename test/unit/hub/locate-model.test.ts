import { randomBytes } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ModelPlaces } from '../../../src/config/model-places.ts';
import { locateModel } from '../../../src/hub/locate-model.ts';
import type { LocatedModel } from '../../../src/hub/located-model.ts';
import { commitOf, sha256Of, startHub, type TestHub } from '../../support/hub.ts';

const model = (length: number) => Buffer.concat([Buffer.from('GGUF'), randomBytes(length - 4)]);
const small = model(20_000);
const parts = [model(3000), model(2000)] as const;
const repository = 'org/Model-GGUF';
const commit = commitOf(repository);

let hub: TestHub;
let folder: string;
let places: ModelPlaces;

beforeEach(async () => {
  hub = await startHub({
    [repository]: {
      files: {
        'README.md': Buffer.from('# Model'),
        'm-Q4_K_M.gguf': small,
        'Q8_0/m-Q8_0-00001-of-00002.gguf': parts[0],
        'Q8_0/m-Q8_0-00002-of-00002.gguf': parts[1],
      },
    },
    'org/gated': { files: { 'm.gguf': small }, refusal: 403, token: 'test-token' },
    'org/pages': { files: { 'a-Q8_0.gguf': small, 'b-Q4_K_M.gguf': small }, hasPages: true },
    'org/evil': { files: { '../../../evil.gguf': small } },
    'org/none': { files: { 'model.safetensors': small } },
  });
  folder = mkdtempSync(join(tmpdir(), 'locate-'));
  places = {
    hubUrl: hub.url,
    hubToken: undefined,
    hubTokenFile: join(folder, 'token'),
    hubCache: join(folder, 'hub'),
    urlCache: join(folder, 'urls'),
    modelsDir: join(folder, 'models'),
    offline: false,
    others: [],
  };
});
afterEach(async () => {
  await hub.close();
  rmSync(folder, { recursive: true });
});

const { signal } = new AbortController();
const locate = (text: string, changes: Partial<ModelPlaces> = {}) =>
  locateModel(text, { ...places, ...changes }, { signal });

async function fetched(model: LocatedModel) {
  const progress: [number, number][] = [];
  const notes: string[] = [];
  const path = await model.fetch({
    onProgress: (...step) => progress.push(step),
    onNote: (note) => notes.push(note),
    signal,
  });
  return { path, progress, notes };
}

describe('a model of the hub', () => {
  test('is brought into the cache that all tools share', async () => {
    const model = await locate(`hf:${repository}`);
    expect(model).toMatchObject({ name: 'm-Q4_K_M', path: undefined, sizeBytes: small.length });
    const { path, progress } = await fetched(model);
    const root = join(folder, 'hub/models--org--Model-GGUF');
    expect(path).toBe(join(root, 'snapshots', commit, 'm-Q4_K_M.gguf'));
    expect(readFileSync(path).equals(small)).toBe(true);
    expect(readlinkSync(path)).toBe(`../../blobs/${sha256Of(small)}`);
    expect(readFileSync(join(root, 'refs/main'), 'utf8')).toBe(commit);
    expect(progress.at(-1)).toEqual([small.length, small.length]);
  });

  test('is not brought twice, and found without the hub', async () => {
    const { path } = await fetched(await locate(`hf:${repository}`));
    expect((await locate(`hf:${repository}`)).path).toBe(path);
    const downloads = hub.requests.length;
    expect((await locate(`hf:${repository}`, { offline: true })).path).toBe(path);
    expect(hub.requests).toHaveLength(downloads);
    // Nobody listens there.
    const gone = { hubUrl: 'http://127.0.0.1:9' };
    expect((await locate(`hf:${repository}:Q4_K_M`, gone)).path).toBe(path);
    hub.apiStatuses.push(429);
    expect((await locate(`hf:${repository}`)).path).toBe(path);
  });

  test('comes in all of its parts', async () => {
    const model = await locate(`hf:${repository}:Q8_0`);
    expect(model).toMatchObject({ name: 'm-Q8_0', sizeBytes: 5000 });
    const { path, progress } = await fetched(model);
    const second = path.replace('00001-of', '00002-of');
    expect([readFileSync(path), readFileSync(second)]).toEqual([...parts]);
    expect(progress.at(-1)).toEqual([5000, 5000]);
    expect(progress.every(([done], index) => done >= (progress[index - 1]?.[0] ?? 0))).toBe(true);
  });

  test('is the one that its link names', async () => {
    const model = await locate(`${hub.url}/${repository}/blob/main/m-Q4_K_M.gguf`);
    expect((await fetched(model)).path).toContain('models--org--Model-GGUF');
  });

  test('is downloaded once by two that start together', async () => {
    const [one, other] = await Promise.all([
      fetched(await locate(`hf:${repository}`)),
      fetched(await locate(`hf:${repository}`)),
    ]);
    expect(one.path).toBe(other.path);
    expect(readFileSync(one.path).equals(small)).toBe(true);
    expect(hub.ranges).toHaveLength(1);
    expect([...one.notes, ...other.notes]).toEqual([expect.stringMatching(/^waiting for \d+@/)]);
  });

  test('that wants a token is given to those who have it', async () => {
    // Everybody may list it.
    const listed = await locate('hf:org/gated');
    await expect(fetched(listed)).rejects.toMatchObject({
      exitCode: 2,
      message: expect.stringContaining(`accept them on ${hub.url}/org/gated, and set HF_TOKEN`),
    });
    const allowed = await locate('hf:org/gated', { hubToken: 'test-token' });
    expect(readFileSync((await fetched(allowed)).path).equals(small)).toBe(true);
    // As `hf auth login` leaves it.
    writeFileSync(places.hubTokenFile, 'test-token\n');
    expect((await locate('hf:org/gated')).path).toBeDefined();
  });

  test('is listed over several pages, and its token is for the hub alone', async () => {
    const located = await locate('hf:org/pages', { hubToken: 'test-token' });
    expect(located.name).toBe('b-Q4_K_M');
    expect(hub.tokens).toEqual(['Bearer test-token', undefined]);
  });

  test('is found in an older copy, and by a server that starts again', async () => {
    const { path } = await fetched(await locate(`hf:${repository}`));
    const ref = join(folder, 'hub/models--org--Model-GGUF/refs/main');
    writeFileSync(ref, '0'.repeat(40));
    expect((await locate(`hf:${repository}`, { offline: true })).path).toBe(path);
    const count = hub.requests.length;
    const again = await locateModel(`hf:${repository}`, places, { signal, prefersCache: true });
    expect(again.path).toBe(path);
    expect(hub.requests).toHaveLength(count);
  });

  test('that was cut is not found', async () => {
    const { path } = await fetched(await locate(`hf:${repository}`));
    truncateSync(path, 100);
    const again = await locate(`hf:${repository}`);
    expect(again.path).toBeUndefined();
  });

  test.each([
    ['hf:org/unknown', 2, /has no model org\/unknown, or shows it only.*HF_TOKEN/],
    [`hf:${repository}@v9`, 2, /has no model org\/Model-GGUF at v9/],
    ['hf:org/none', 2, /org\/none has no GGUF files/],
    [`hf:${repository}:Q2_K`, 2, /has no Q2_K; it has m-Q4_K_M.gguf, Q8_0/],
  ])('%s fails with exit code %d: %s', async (text, exitCode, message) => {
    await expect(locate(text)).rejects.toMatchObject({
      exitCode,
      message: expect.stringMatching(message),
    });
  });

  test('is nothing that leads out of the cache', async () => {
    const located = await locate('hf:org/evil:../../../evil.gguf').catch((error: Error) => error);
    if (!(located instanceof Error)) await expect(fetched(located)).rejects.toThrow();
    expect(existsSync(join(folder, 'evil.gguf'))).toBe(false);
    expect(existsSync(join(folder, '../evil.gguf'))).toBe(false);
  });

  test('fails where the answer is that of no hub', async () => {
    const page = createServer((_request, reply) => reply.end('<html>Log in</html>'));
    await new Promise<void>((resolve) => {
      page.listen(0, '127.0.0.1', resolve);
    });
    const { port } = page.address() as AddressInfo;
    const hubUrl = `http://127.0.0.1:${port}`;
    await expect(locate(`hf:${repository}`, { hubUrl })).rejects.toMatchObject({
      ...{ exitCode: 1, message: expect.stringContaining('answers as no hub does, and') },
    });
    page.closeAllConnections();
    page.close();
  });

  test('fails offline without a copy', async () => {
    const message = expect.stringMatching(/^HF_HUB_OFFLINE is set, and .* has nothing of/);
    await expect(locate(`hf:${repository}`, { offline: true })).rejects.toMatchObject({
      ...{ exitCode: 1, message },
    });
    hub.apiStatuses.push(500, 500, 500);
    await expect(locate(`hf:${repository}`)).rejects.toMatchObject({
      ...{ exitCode: 1, message: expect.stringMatching(/answers 500: .*, and .* has nothing of/) },
    });
  });

  test('that fails on its way leaves nothing that is served', async () => {
    const model = await locate(`hf:${repository}`);
    hub.faults.push({ isWrong: true }, { isWrong: true });
    await expect(fetched(model)).rejects.toMatchObject({
      exitCode: 1,
      message: expect.stringMatching(/^org\/Model-GGUF\/m-Q4_K_M.gguf could not be downloaded: /),
    });
    expect((await locate(`hf:${repository}`)).path).toBeUndefined();
    await expect(locate(`hf:${repository}`, { offline: true })).rejects.toThrow('has nothing of');
  });
}, 20_000);

describe('a model elsewhere', () => {
  test('is kept by its address', async () => {
    const url = `${hub.url}/org/Model-GGUF/resolve/v1/Q8_0/m-Q8_0-00002-of-00002.gguf`;
    const elsewhere = { hubUrl: 'https://example.org' };
    const model = await locate(url, elsewhere);
    const { path } = await fetched(model);
    expect(path.startsWith(join(folder, 'urls/127.0.0.1_'))).toBe(true);
    // All parts of it, from any of them.
    expect(model.name).toBe('m-Q8_0');
    expect(readFileSync(path).equals(parts[0])).toBe(true);
    expect(readFileSync(path.replace('00001-of', '00002-of')).equals(parts[1])).toBe(true);
    expect((await locate(url, elsewhere)).path).toBe(path);
    // Another query is another file.
    expect((await locate(`${url}?version=2`, elsewhere)).path).toBeUndefined();
    const secret = await locate('https://me:secret@example.com/a/m.gguf?sig=secret', elsewhere);
    expect(secret.origin).toBe('https://example.com/a/m.gguf');
    await expect(locate('https://example.com/%zz.gguf', elsewhere)).rejects.toMatchObject({
      ...{ exitCode: 2, message: expect.stringContaining('invalid part') },
    });
    await expect(locate('https://example.com/x', elsewhere)).rejects.toThrow(
      'does not end in .gguf',
    );
  });

  test('may be a path', async () => {
    expect(await locate('./a.gguf')).toMatchObject({ path: './a.gguf', name: 'a' });
    expect((await locate('/m/a-00001-of-00002.gguf')).name).toBe('a');
    mkdirSync(join(folder, 'models'));
    writeFileSync(join(folder, 'models/b.gguf'), small);
    expect((await locate('b.gguf')).path).toBe(join(folder, 'models/b.gguf'));
    await expect(locate('org/repo:Q8_0')).rejects.toThrow('hf:org/repo:Q8_0 is a model of the hub');
  });

  test('may be a name, also with a typing error', async () => {
    mkdirSync(join(folder, 'models'), { recursive: true });
    const path = join(folder, 'models/Smol-Q4_0.gguf');
    writeFileSync(path, small);
    expect(existsSync(path)).toBe(true);
    expect((await locate('smol-q4_0')).path).toBe(path);
    await expect(locate('smal-Q4_0')).rejects.toThrow('did you mean Smol-Q4_0?');
    await expect(locate('something-else')).rejects.toThrow('`models list` shows');
  });
});
