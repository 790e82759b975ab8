import { cpSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
// @ts-expect-error: the scripts are JavaScript without declarations
import { Stamp } from '../../../scripts/fingerprint.mjs';

let folder: string;
let files: string[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lgi-stamp-'));
  files = ['a.cc', 'b.cc'].map((name) => join(folder, name));
  for (const file of files) writeFileSync(file, 'first');
});
afterEach(() => rmSync(folder, { recursive: true }));

const stampFile = () => join(folder, 'x.stamp');
const compare = (inputs = files) => new Stamp(stampFile()).compare(folder, inputs);
/** As `npm ci` and `git checkout` do it. */
const renewTimes = () => {
  for (const file of files) utimesSync(file, 1_700_000_000, 1_700_000_000);
};

describe('the stamp of a build step', () => {
  it('is not that of inputs that were never built', () => {
    expect(compare().isSame).toBe(false);
    // Only a build that succeeded is saved.
    expect(compare().isSame).toBe(false);
  });

  it('is that of the same contents, whatever their times', () => {
    compare().save();
    expect(compare().isSame).toBe(true);
    renewTimes();
    expect(compare().isSame).toBe(true);
    expect(readFileSync(stampFile(), 'utf8')).toContain('"mtimeMs":1700000000000');
  });

  it('is that of a copy of the folder', () => {
    compare().save();
    const copy = `${folder}-copy`;
    cpSync(folder, copy, { recursive: true });
    const stamp = new Stamp(join(copy, 'x.stamp'));
    const { isSame } = stamp.compare(
      copy,
      ['a.cc', 'b.cc'].map((name) => join(copy, name)),
    );
    rmSync(copy, { recursive: true });
    expect(isSame).toBe(true);
  });

  it.each([
    ['an edit that keeps the size', () => writeFileSync(files[1] as string, 'other')],
    ['an edit', () => writeFileSync(files[0] as string, 'longer')],
    ['a file more', () => files.push(stampFile())],
    ['a file less', () => files.pop()],
  ])('is not that of inputs after %s', (_what, change) => {
    renewTimes();
    compare().save();
    change();
    expect(compare(files).isSame).toBe(false);
  });

  it('is taken for none when it cannot be read', () => {
    writeFileSync(stampFile(), '0123abcd');
    expect(compare().isSame).toBe(false);
    compare().save();
    expect(compare().isSame).toBe(true);
  });
});
