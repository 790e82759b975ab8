import type { Llama } from 'node-llama-cpp';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadAddon, variantOf } from '../../src/engine/load-addon.ts';
import { startLlama } from '../../tools/fixtures/start-llama.ts';

let llama: Llama;
beforeAll(async () => {
  llama = await startLlama();
});
afterAll(() => llama.dispose());

test('the addon exports the limits of its contexts, which nothing can change', () => {
  const { limits } = loadAddon(variantOf(llama.gpu));
  expect(limits).toEqual({
    maxSequenceCount: 256,
    statesPerSlot: 2,
    spareStates: 2,
    maxMovedBytes: 2 ** 28,
    maxEmbeddingLogits: 2 ** 26,
    minEmbeddingBatchSize: 32,
  });
  expect(Object.isFrozen(limits)).toBe(true);
});
