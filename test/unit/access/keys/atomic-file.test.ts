import {
  chownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { replaceFile } from '../../../../src/access/keys/atomic-file.ts';

function folderOf(): string {
  const folder = mkdtempSync(join(tmpdir(), 'atomic-file-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

test('nothing is left beside a file that cannot be replaced', async () => {
  const folder = folderOf();
  const path = join(folder, 'keys.txt');
  mkdirSync(join(path, 'full'), { recursive: true });
  await expect(replaceFile(path, 'text')).rejects.toThrow();
  expect(readdirSync(folder)).toEqual(['keys.txt']);
});

test('a link stays one, also where its target does not exist yet', async () => {
  const folder = folderOf();
  const path = join(folder, 'keys.txt');
  symlinkSync('real.txt', path);
  await replaceFile(path, 'text');
  expect(lstatSync(path).isSymbolicLink()).toBe(true);
  expect(readFileSync(join(folder, 'real.txt'), 'utf8')).toBe('text');
});

test.skipIf(process.getuid?.() !== 0)('a file keeps its owner', async () => {
  const path = join(folderOf(), 'keys.txt');
  writeFileSync(path, 'before');
  chownSync(path, 1000, 1000);
  await replaceFile(path, 'after');
  expect(readFileSync(path, 'utf8')).toBe('after');
  expect(statSync(path)).toMatchObject({ uid: 1000, gid: 1000 });
  expect(statSync(path).mode & 0o777).toBe(0o600);
});
