import { expect, test } from 'vitest';
import { banner, reachable, type Served } from '../../../src/terminal/banner.ts';

const served: Served = {
  version: '1.2.3',
  model: 'gemma',
  quantization: 'Q4_K_M',
  sizeBytes: 806_000_000,
  backend: 'cpu',
  slotCount: 4,
  contextLength: 16_384,
  url: 'http://127.0.0.1:8000',
  needsKey: false,
};

test('says what is served and how it is tried', () => {
  expect(banner(served, false).split('\n')).toEqual([
    '',
    '  llama-gguf-inference 1.2.3',
    '',
    '  model gemma Q4_K_M, 806 MB, 4 slots of 16,384 tokens, cpu',
    '  API   http://127.0.0.1:8000/v1 documents: http://127.0.0.1:8000/docs',
    expect.stringMatching(/^ {2}try {3}curl http:\/\/127\.0\.0\.1:8000\/v1\/chat\/completions -H/),
    '',
    '',
  ]);
});

test('has bold and dim text where the terminal has colours, and a key where one is needed', () => {
  const text = banner({ ...served, quantization: undefined, slotCount: 1, needsKey: true }, true);
  expect(text).toContain('\x1b[1mgemma\x1b[0m');
  expect(text).toContain('806 MB, 1 slot of');
  expect(text).toContain("-H 'authorization: Bearer KEY'");
});

test.each([
  ['http://0.0.0.0:8000', 'http://127.0.0.1:8000'],
  ['https://[::]:8000', 'https://[::1]:8000'],
  ['http://10.0.0.1:8000', 'http://10.0.0.1:8000'],
])('%s is reached at %s', (address, url) => {
  expect(reachable(address)).toBe(url);
});
