import { describe, expect, test } from 'vitest';
import { readModelReference } from '../../../src/hub/model-reference.ts';

const hub = new URL('https://huggingface.co');
const read = (text: string) => readModelReference(text, hub);
const onHub = { kind: 'hub', repository: 'ggml-org/gemma-3-1b-it-GGUF' };

describe('a model is named', () => {
  test.each([
    ['hf:ggml-org/gemma-3-1b-it-GGUF', onHub],
    ['hf://ggml-org/gemma-3-1b-it-GGUF', onHub],
    ['hf:ggml-org/gemma-3-1b-it-GGUF:Q8_0', { ...onHub, choice: 'Q8_0' }],
    [
      'hf:ggml-org/gemma-3-1b-it-GGUF@v1:a/b.gguf',
      { ...onHub, revision: 'v1', choice: 'a/b.gguf' },
    ],
    [
      'https://huggingface.co/ggml-org/gemma-3-1b-it-GGUF/resolve/main/a%20b.gguf?download=true',
      { ...onHub, choice: 'a b.gguf' },
    ],
    [
      'https://huggingface.co/ggml-org/gemma-3-1b-it-GGUF/blob/v1/q/a.gguf',
      { ...onHub, revision: 'v1', choice: 'q/a.gguf' },
    ],
    ['models/a.gguf', { kind: 'file', path: 'models/a.gguf' }],
    ['a.GGUF', { kind: 'file', path: 'a.GGUF' }],
    ['~/a', { kind: 'file', path: '~/a' }],
    ['qwen3:8b', { kind: 'name', name: 'qwen3:8b' }],
  ])('%s', (text, reference) => {
    expect(read(text)).toEqual(reference);
  });

  test('by an address elsewhere', () => {
    expect(read('https://example.com/a.gguf')).toMatchObject({ kind: 'url' });
    // A page of the hub that is no file is no reference, and no file.
    expect(read('https://huggingface.co/ggml-org')).toMatchObject({ kind: 'url' });
  });

  test.each(['hf:gemma', 'hf:a/b/c', 'hf:../a', 'hf:a/..', 'hf:', 'https://'])(
    '%s is refused with the form that is right',
    (text) => {
      expect(() => read(text)).toThrow(/write hf:OWNER\/REPOSITORY|not a valid URL/);
    },
  );
});
