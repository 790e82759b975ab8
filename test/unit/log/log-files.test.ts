import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { LogFiles } from '../../../src/log/log-files.ts';
import { RotatingFile } from '../../../src/log/rotating-file.ts';

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'lgi-log-'));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

function fail(error: unknown): never {
  throw error;
}

describe('RotatingFile', () => {
  it('appends, and writes everything before it closes', async () => {
    const path = join(folder(), 'x.log');
    writeFileSync(path, 'before\n');
    const file = new RotatingFile(path, { maxBytes: 0, maxFiles: 1 }, fail);
    for (let line = 0; line < 1000; line++) file.write(`${line}\n`);
    await file.close();
    file.write('too late\n');
    const lines = readFileSync(path, 'utf8').split('\n');
    expect(lines).toEqual(['before', ...Array.from({ length: 1000 }, (_, line) => `${line}`), '']);
  });

  it('makes files that only owner and group read', async () => {
    const path = join(folder(), 'x.log');
    await new RotatingFile(path, { maxBytes: 0, maxFiles: 1 }, fail).close();
    expect(statSync(path).mode & 0o027).toBe(0);
  });

  it('rotates a full file, and keeps the given number of files', async () => {
    const dir = folder();
    const path = join(dir, 'x.log');
    const file = new RotatingFile(path, { maxBytes: 10, maxFiles: 3 }, fail);
    for (const word of ['aaaaaaaaaaaa', 'bbbbbbbbbbbb', 'cccccccccccc', 'dddddddddddd', 'e']) {
      file.write(`${word}\n`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await file.close();
    expect(readdirSync(dir).sort()).toEqual(['x.log', 'x.log.1', 'x.log.2']);
    expect(readFileSync(path, 'utf8')).toBe('e\n');
    expect(readFileSync(`${path}.1`, 'utf8')).toBe('dddddddddddd\n');
    expect(readFileSync(`${path}.2`, 'utf8')).toBe('cccccccccccc\n');
  });

  it('continues in a new file after the old one was moved away', async () => {
    const dir = folder();
    const path = join(dir, 'x.log');
    const file = new RotatingFile(path, { maxBytes: 0, maxFiles: 1 }, fail);
    file.write('old\n');
    await expect.poll(() => readFileSync(path, 'utf8')).toBe('old\n');
    renameSync(path, `${path}.moved`);
    file.reopen();
    file.write('new\n');
    await file.close();
    expect(readFileSync(`${path}.moved`, 'utf8')).toBe('old\n');
    expect(readFileSync(path, 'utf8')).toBe('new\n');
  });

  it('reports once that it can no longer write', async () => {
    const dir = folder();
    const path = join(dir, 'x.log');
    const failures: unknown[] = [];
    const file = new RotatingFile(path, { maxBytes: 0, maxFiles: 1 }, (error) =>
      failures.push(error),
    );
    rmSync(dir, { recursive: true });
    file.reopen();
    await expect.poll(() => failures.length).toBe(1);
    file.write('lost\n');
    await file.close();
    expect(failures).toMatchObject([{ code: 'ENOENT' }]);
  });

  it.skipIf(!existsSync('/dev/full'))(
    'reports a full disk once, and does not wait for it at the exit',
    async () => {
      const failures: unknown[] = [];
      const file = new RotatingFile('/dev/full', { maxBytes: 0, maxFiles: 1 }, (error) =>
        failures.push(error),
      );
      file.write('lost\n');
      file.flushSync();
      file.write('lost too\n');
      await expect.poll(() => failures.length).toBe(1);
      file.write('and this\n');
      await file.close();
      expect(failures).toMatchObject([{ code: 'ENOSPC' }]);
    },
  );

  it('writes waiting lines when the process exits', () => {
    const path = join(folder(), 'x.log');
    const file = new RotatingFile(path, { maxBytes: 0, maxFiles: 1 }, fail);
    file.write('last words\n');
    file.flushSync();
    expect(readFileSync(path, 'utf8')).toBe('last words\n');
  });
});

describe('LogFiles', () => {
  const config = { name: 'llama', instance: 'pod-1', maxBytes: 0, maxFiles: 2 };
  const stamped = (kind: string) => new RegExp(`^\\d{8}_\\d{6}_${kind}_pod-1\\.log$`);

  it('writes the boot log until the server is ready, then the server log', async () => {
    const dir = folder();
    const files = new LogFiles({ ...config, folder: dir }, 'gateway', fail);
    files.write('loading\n');
    await files.beginService();
    files.write('serving\n');
    files.access?.write('a request\n');
    await files.close();
    for (const [sub, kind, text] of [
      ['_boot', 'boot', 'loading\n'],
      ['llama', 'server', 'serving\n'],
    ] as const) {
      const names = readdirSync(join(dir, sub)).sort();
      expect(names).toEqual([expect.stringMatching(stamped(kind)), 'latest.txt']);
      const latest = readFileSync(join(dir, sub, 'latest.txt'), 'utf8').trimEnd();
      expect(latest).toBe(join(dir, sub, names[0] ?? ''));
      expect(readFileSync(latest, 'utf8')).toBe(text);
    }
    expect(readFileSync(join(dir, 'api_access.log'), 'utf8')).toBe('a request\n');
  });

  it('fails at once where no folder can be made', () => {
    const nowhere = { ...config, folder: '/proc/no-such-place' };
    expect(() => new LogFiles(nowhere, 'gateway', fail)).toThrow('ENOENT');
  });

  it('gives the supervisor a file of its own', async () => {
    const dir = folder();
    const files = new LogFiles({ ...config, folder: dir }, 'supervisor', fail);
    files.write('gateway started\n');
    await files.close();
    expect(readdirSync(dir)).toEqual(['llama']);
    expect(readdirSync(join(dir, 'llama'))).toEqual([expect.stringMatching(stamped('supervisor'))]);
  });

  it('keeps the newest starts of its own instance, and files of others', async () => {
    const dir = folder();
    const boot = join(dir, '_boot');
    const others = ['20200101_000000_boot_pod-2.log', 'notes.txt'];
    const old = ['20200101_000000_boot_pod-1.log', '20200101_000000_boot_pod-1.log.1'];
    const newer = '20210101_000000_boot_pod-1.log';
    mkdirSync(boot, { recursive: true });
    for (const name of [...others, ...old, newer]) writeFileSync(join(boot, name), '');
    await new LogFiles({ ...config, folder: dir }, 'gateway', fail).close();
    const names = readdirSync(boot);
    for (const name of [...others, newer, 'latest.txt']) expect(names).toContain(name);
    for (const name of old) expect(names).not.toContain(name);
    expect(names).toHaveLength(5);
  });
});
