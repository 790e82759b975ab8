import { describe, expect, test } from 'vitest';
import { chooseFiles, sizeOf } from '../../../src/hub/choose-file.ts';

const repository = 'org/Model-GGUF';
const file = (path: string, sizeBytes = 1000) => ({ path, sizeBytes });
const choose = (paths: readonly string[], choice?: string) =>
  chooseFiles(
    paths.map((path) => file(path)),
    repository,
    choice,
  ).files.map(({ path }) => path);

describe('the files of a repository', () => {
  test.each([
    [['m-Q2_K.gguf', 'm-Q4_K_M.gguf', 'm-Q8_0.gguf'], 'm-Q4_K_M.gguf'],
    [['m-Q8_0.gguf', 'm-f16.gguf'], 'm-Q8_0.gguf'],
    [['m.gguf', 'mmproj-m-f16.gguf', 'imatrix.gguf', 'README.md'], 'm.gguf'],
    [['m-UD-Q4_K_M.gguf', 'm-Q4_K_M.gguf'], 'm-Q4_K_M.gguf'],
  ])('%j: a common quantization is chosen', (paths, expected) => {
    expect(choose(paths)).toEqual([expected]);
  });

  test.each([
    ['q8_0', ['m-Q4_K_M.gguf', 'm-Q8_0.gguf'], 'm-Q8_0.gguf'],
    ['Q4_K_XL', ['m-UD-Q4_K_XL.gguf'], 'm-UD-Q4_K_XL.gguf'],
    ['UD-Q4_K_XL', ['m-UD-Q4_K_XL.gguf', 'm-Q4_K_M.gguf'], 'm-UD-Q4_K_XL.gguf'],
    ['BF16', ['BF16/m.gguf', 'm-Q8_0.gguf'], 'BF16/m.gguf'],
    ['old/m.gguf', ['old/m.gguf', 'm.gguf'], 'old/m.gguf'],
    ['mmproj-m.gguf', ['m.gguf', 'mmproj-m.gguf'], 'mmproj-m.gguf'],
  ])('%s is chosen among %j', (choice, paths, expected) => {
    expect(choose(paths, choice)).toEqual([expected]);
  });

  test('a split model has all of its parts, in order', () => {
    const parts = [1, 2, 3].map((number) => `Q8_0/m-Q8_0-0000${number}-of-00003.gguf`);
    const files = [...parts.toReversed(), 'm-Q2_K.gguf'].map((path) => file(path, 10));
    for (const choice of ['Q8_0', ...parts]) {
      const model = chooseFiles(files, repository, choice);
      expect(model.name).toBe('m-Q8_0');
      expect(model.files.map(({ path }) => path)).toEqual(parts);
      expect(sizeOf(model)).toBe(30);
    }
    // One of its parts is missing.
    expect(() => chooseFiles(files.slice(1), repository, 'Q8_0')).toThrow('has no Q8_0');
  });

  test.each([
    [
      [],
      undefined,
      'org/Model-GGUF has no GGUF files; repositories that have some usually end in -GGUF',
    ],
    [['m-Q8_0.gguf'], 'Q4_0', 'org/Model-GGUF has no Q4_0; it has m-Q8_0.gguf'],
    [['m-Q8_0.gguf'], 'x.gguf', 'org/Model-GGUF has no file x.gguf; it has m-Q8_0.gguf'],
    [
      ['a-Q8_0.gguf', 'b-Q8_0.gguf'],
      'Q8_0',
      'org/Model-GGUF has several models with Q8_0, name the file: a-Q8_0.gguf, b-Q8_0.gguf',
    ],
  ])('%j with %s: what there is instead', (paths, choice, message) => {
    expect(() => choose(paths, choice)).toThrow(message);
  });
});
