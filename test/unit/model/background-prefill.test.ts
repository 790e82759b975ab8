import { expect, test } from 'vitest';
import {
  backgroundPrefillBytes,
  computesOwnAttention,
  wantsBackgroundPrefill,
} from '../../../src/model/background-prefill.ts';

test.each([
  ['a part for every slot', 'auto', 2, 2048, true],
  ['split', 'split', 2, 2048, true],
  ['unified', 'unified', 2, 2048, false],
  ['slots that compete for cells', 'auto', 2, 2047, false],
  ['one slot', 'auto', 1, 1024, false],
] as const)('background prefill: %s', (_what, kvLayout, slotCount, kvTokenCount, expected) => {
  const shape = { slotCount, contextLength: 1024, kvTokenCount };
  const wants = (backgroundPrefill: boolean | undefined, hasOwnAttention: boolean) =>
    wantsBackgroundPrefill(shape, { backgroundPrefill, kvLayout }, hasOwnAttention);
  expect(wants(undefined, false)).toBe(expected);
  expect(wants(undefined, true)).toBe(false);
  for (const hasOwnAttention of [false, true]) {
    expect(wants(true, hasOwnAttention)).toBe(expected);
    expect(wants(false, hasOwnAttention)).toBe(false);
  }
});

test('own attention is that of a cache in 16-bit floats, with flash attention', () => {
  const engine = { flashAttention: 'auto', cacheTypeK: 'f16', cacheTypeV: 'f16' } as const;
  expect(computesOwnAttention(engine, true)).toBe(true);
  expect(computesOwnAttention(engine, false)).toBe(false);
  expect(computesOwnAttention({ ...engine, flashAttention: 'off' }, true)).toBe(false);
  expect(computesOwnAttention({ ...engine, cacheTypeK: 'q8_0' }, true)).toBe(false);
  expect(computesOwnAttention({ ...engine, cacheTypeV: 'q8_0' }, true)).toBe(false);
});

const mebibyte = 2 ** 20;
/** As the addon exports them. */
const limits = { maxMovedBytes: 256 * mebibyte };

test.each([
  ['a small model: a slot and a buffer of its size', 4096, 1024, false, 100 + 4 + 4],
  ['a large one: what fits the buffer, and the buffer', 16_384, 128 * 1024, false, 100 + 256 + 256],
  ['a large one whose positions depend on the context', 16_384, 128 * 1024, true, 100 + 2048 + 256],
  ['the shortest context', 256, mebibyte, false, 2 * (100 + 256)],
] as const)(
  'memory of background prefill: %s',
  async (_what, length, tokenBytes, isWhole, expected) => {
    const estimate = async (tokenCount: number) => 100 * mebibyte + tokenCount * tokenBytes;
    expect(
      (await backgroundPrefillBytes(length, isWhole, limits, estimate)) / mebibyte,
    ).toBeCloseTo(expected);
  },
);
