import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { withDownloadLock } from '../../../src/hub/download-lock.ts';

const timing = { beatMs: 20, silenceMs: 200 };
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'download-lock-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const { signal } = new AbortController();

test('work is done by one at a time', async () => {
  const path = join(folder, 'a.lock');
  let running = 0;
  let most = 0;
  const onWait = vi.fn();
  const work = async () => {
    running += 1;
    most = Math.max(most, running);
    await sleep(60);
    running -= 1;
  };
  const all = Array.from({ length: 4 }, () =>
    withDownloadLock(path, work, { signal, onWait, timing }),
  );
  await Promise.all(all);
  expect(most).toBe(1);
  expect(onWait).toHaveBeenCalledTimes(3);
  expect(onWait).toHaveBeenCalledWith(expect.stringMatching(/^\d+@/));
  expect(existsSync(path)).toBe(false);
});

test('the lock of a process that is gone is taken, that of a slow one is not', async () => {
  const path = join(folder, 'b.lock');
  writeFileSync(path, '1@elsewhere x');
  const began = performance.now();
  await withDownloadLock(path, async () => {}, { signal, onWait: () => {}, timing });
  expect(performance.now() - began).toBeGreaterThan(timing.silenceMs);

  // Of several who wait for a lock that is dead, one at a time has it.
  writeFileSync(path, '1@elsewhere x');
  let running = 0;
  let most = 0;
  const work = async () => {
    running += 1;
    most = Math.max(most, running);
    await sleep(50);
    running -= 1;
  };
  const options = { signal, onWait: () => {}, timing };
  await Promise.all(Array.from({ length: 5 }, () => withDownloadLock(path, work, options)));
  expect(most).toBe(1);

  const slow = withDownloadLock(path, () => sleep(600), { signal, onWait: () => {}, timing });
  await sleep(10);
  let hasEnded = false;
  void slow.then(() => {
    hasEnded = true;
  });
  await withDownloadLock(path, async () => expect(hasEnded).toBe(true), {
    ...{ signal, onWait: () => {}, timing },
  });
});

test('work ends when its lock is lost', async () => {
  const path = join(folder, 'd.lock');
  const lost = withDownloadLock(
    path,
    async (whileLocked) => {
      writeFileSync(path, '2@elsewhere y');
      await sleep(5000, undefined, { signal: whileLocked });
    },
    { signal, onWait: () => {}, timing },
  );
  await expect(lost).rejects.toThrow();
  expect(existsSync(path)).toBe(true);
});

test('waiting ends with the signal', async () => {
  const path = join(folder, 'c.lock');
  writeFileSync(path, '1@elsewhere x');
  const controller = new AbortController();
  const waiting = withDownloadLock(path, async () => {}, {
    ...{ signal: controller.signal, onWait: () => controller.abort(new Error('stopped')) },
  });
  await expect(waiting).rejects.toThrow();
  expect(existsSync(path)).toBe(true);
});
