import { randomBytes } from 'node:crypto';
import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type DownloadOptions, download, requireSpace } from '../../../src/hub/download.ts';
import { type Fault, sha256Of, startHub, type TestHub } from '../../support/hub.ts';

const bytes = Buffer.concat([Buffer.from('GGUF'), randomBytes(299_996)]);
let hub: TestHub;
let folder: string;

beforeAll(async () => {
  hub = await startHub({ 'org/model': { files: { 'm.gguf': bytes } } });
  folder = mkdtempSync(join(tmpdir(), 'download-'));
});
afterAll(async () => {
  await hub.close();
  rmSync(folder, { recursive: true });
});
beforeEach(() => {
  hub.faults.length = 0;
  (hub.ranges as unknown[]).length = 0;
});

let count = 0;
const timing = { silenceMs: 300, waitsMs: [10, 10, 10] };

function begin(options: Partial<DownloadOptions> = {}, faults: readonly Fault[] = []) {
  hub.faults.push(...faults);
  count += 1;
  const path = options.path ?? join(folder, `${count}.gguf`);
  const retries: string[] = [];
  const progress: number[] = [];
  const done = download({
    url: new URL(`${hub.url}/org/model/resolve/main/m.gguf`),
    headers: { authorization: 'Bearer secret' },
    sha256: sha256Of(bytes),
    sizeBytes: bytes.length,
    onProgress: (doneBytes) => progress.push(doneBytes),
    onRetry: (reason) => retries.push(reason),
    signal: new AbortController().signal,
    timing,
    ...options,
    path,
  });
  return { done, path, retries, progress };
}

describe('a download', () => {
  test('brings the bytes, from where the hub redirects to', async () => {
    const { done, path, progress } = begin();
    await done;
    expect(readFileSync(path).equals(bytes)).toBe(true);
    expect(progress.at(-1)).toBe(bytes.length);
    expect(existsSync(`${path}.part`)).toBe(false);
  });

  test.each([0.01, 0.5, 0.99])('goes on where it was cut, at %s', async (cutAt) => {
    const { done, path, retries } = begin({}, [{ cutAt }, { cutAt: 0.5 }]);
    await done;
    expect(readFileSync(path).equals(bytes)).toBe(true);
    expect(retries).toHaveLength(2);
    expect(hub.ranges[1]).toMatch(/^bytes=[1-9]\d*-$/);
  });

  test('goes on after another process, whose bytes are checked', async () => {
    const path = join(folder, 'resumed.gguf');
    writeFileSync(`${path}.part`, bytes.subarray(0, 1234));
    await begin({ path }).done;
    expect(hub.ranges).toEqual(['bytes=1234-']);
    expect(readFileSync(path).equals(bytes)).toBe(true);

    const wrong = join(folder, 'wrong-begin.gguf');
    writeFileSync(`${wrong}.part`, randomBytes(1234));
    const again = begin({ path: wrong });
    await again.done;
    expect(again.retries).toEqual([expect.stringContaining('SHA-256')]);
    expect(readFileSync(wrong).equals(bytes)).toBe(true);
  });

  test.each([
    ['a server without ranges', [{ cutAt: 0.5 }, { ignoresRange: true }]],
    ['a server that is busy', [{ status: 503 }, { status: 429, retryAfterSeconds: 0 }]],
    ['a silent connection', [{ isSilent: true }]],
    ['wrong bytes, once', [{ isWrong: true }]],
  ] as const)('survives %s', async (_name, faults) => {
    const { done, path, retries } = begin({}, faults);
    await done;
    expect(readFileSync(path).equals(bytes)).toBe(true);
    expect(retries.length).toBeGreaterThan(0);
  });

  test('waits as long as the server says', async () => {
    const began = performance.now();
    await begin({}, [{ status: 429, retryAfterSeconds: 1 }]).done;
    expect(performance.now() - began).toBeGreaterThan(900);
  });

  test.each([
    ['wrong bytes', [{ isWrong: true }, { isWrong: true }], /SHA-256 is another one/],
    ['a file that is gone', [{ status: 410 }], /answers 410/],
    ['a server that stays busy', Array.from({ length: 4 }, () => ({ status: 500 })), /answers 500/],
    ['connections that bring nothing', Array.from({ length: 4 }, () => ({ cutAt: 0 })), /.+/],
  ])('fails with %s, and leaves no file', async (_name, faults, message) => {
    const { done, path } = begin({}, faults);
    await expect(done).rejects.toThrow(message);
    expect(existsSync(path)).toBe(false);
  });

  test('fails where the size is another one', async () => {
    const { done, path } = begin({ sizeBytes: bytes.length + 1 });
    await expect(done).rejects.toThrow('300000 bytes there instead of 300001');
    expect(existsSync(path)).toBe(false);
  });

  test('does not fill a disk in vain', async () => {
    await expect(requireSpace(join(folder, 'not/there/yet'), 2 ** 53 - 1)).rejects.toThrow(
      /free, and 9007199\.3 GB are still to come/,
    );
    await requireSpace(folder, 1000);
  });

  test('is a model, not a page about one', async () => {
    const page = Buffer.from(`<!DOCTYPE html>${'x'.repeat(2000)}`);
    const other = await startHub({ 'org/model': { files: { 'm.gguf': page } } });
    const url = new URL(`${other.url}/org/model/resolve/main/m.gguf`);
    const { done, path } = begin({ url, sha256: undefined, sizeBytes: undefined });
    await expect(done).rejects.toThrow('what came is a web page');
    expect(existsSync(path)).toBe(false);
    await other.close();
  });

  test('is not given its name when another program has written to it', async () => {
    const { done, path, retries } = begin({}, [{ cutAt: 0.5 }]);
    await expect.poll(() => retries.length).toBe(1);
    appendFileSync(`${path}.part`, 'more');
    await done.catch(() => {});
    if (existsSync(path)) expect(readFileSync(path).equals(bytes)).toBe(true);
  });

  test('ends with its signal, and goes on later', async () => {
    const controller = new AbortController();
    const { done, path } = begin({ signal: controller.signal }, [
      { cutAt: 0.5 },
      { isSilent: true },
    ]);
    await expect.poll(() => hub.ranges.length).toBe(2);
    controller.abort(new Error('stopped'));
    await expect(done).rejects.toThrow('stopped');
    await begin({ path }).done;
    expect(readFileSync(path).equals(bytes)).toBe(true);
    expect(hub.ranges.at(-1)).toMatch(/^bytes=[1-9]/);
  });

  test('without a hash goes on only with the same version', async () => {
    const path = join(folder, 'version.gguf');
    const unhashed = { path, sha256: undefined, sizeBytes: undefined };
    const controller = new AbortController();
    const cut = begin({ ...unhashed, signal: controller.signal }, [
      { cutAt: 0.5 },
      { isSilent: true },
    ]);
    await expect.poll(() => hub.ranges.length).toBe(2);
    controller.abort(new Error('stopped'));
    await expect(cut.done).rejects.toThrow('stopped');
    writeFileSync(`${path}.part.version`, '"another"');
    await begin(unhashed).done;
    expect(readFileSync(path).equals(bytes)).toBe(true);
    // A range was asked for, and the whole file came.
    expect(hub.ranges.at(-1)).toMatch(/^bytes=[1-9]/);
    expect(hub.statuses.at(-1)).toBe(200);
  });
});
