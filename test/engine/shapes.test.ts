import { describe, expect, test } from 'vitest';
import {
  complete,
  loadModel,
  startEngine,
  testModelPath,
} from '../../tools/fixtures/start-engine.ts';
import type { ModelShape } from '../../tools/fixtures/tiny-model.ts';

const shapes: [string, string | Partial<ModelShape>][] = [
  ['llama, F16', { weightType: 'F16' }],
  ['llama, Q8_0', { weightType: 'Q8_0' }],
  ['llama, tied embeddings, one KV head', { tiedOutput: true, kvHeadCount: 1 }],
  ['llama, six layers', { layerCount: 6, width: 96, headCount: 6, kvHeadCount: 3 }],
  ['qwen2', { architecture: 'qwen2' }],
  ['olmo2, with a sliding window', { architecture: 'olmo2', layerCount: 4 }],
  ['qwen3', { architecture: 'qwen3' }],
  ['gemma3, with a sliding window', { architecture: 'gemma3', layerCount: 4 }],
  ['granitemoe, with experts', { architecture: 'granitemoe' }],
  ['lfm2, with convolutions', { architecture: 'lfm2', layerCount: 4 }],
  ['mamba', { architecture: 'mamba', layerCount: 4 }],
  ...(testModelPath === undefined
    ? []
    : [['TEST_MODEL', testModelPath] satisfies [string, string]]),
];

describe('a model of any shape', () => {
  test.each(shapes)('%s: four in a batch get the text each gets alone', async (_name, source) => {
    const loaded = await loadModel(source);
    const engine = await startEngine(loaded.model);
    try {
      const prompts = ['The king', 'A small boat went', 'Once', 'They saw the water and'];
      const alone: string[] = [];
      for (const prompt of prompts) {
        alone.push((await complete(engine, prompt, { maxTokens: 24 })).text);
      }
      const together = await Promise.all(
        prompts.map((prompt) => complete(engine, prompt, { maxTokens: 24 })),
      );
      expect(together.map(({ text }) => text)).toEqual(alone);
      expect(new Set(alone).size).toBeGreaterThan(1);
    } finally {
      await engine.close();
      await loaded.dispose();
    }
  });

  test.each([
    ['q8_0', 'q8_0', 'on'],
    ['f32', 'f32', 'off'],
    ['q4_0', 'f16', 'auto'],
  ] as const)(
    'runs with a KV cache of %s and %s, flash attention %s',
    async (cacheTypeK, cacheTypeV, flashAttention) => {
      // Quantised caches come in blocks of 32, which must divide a head.
      const loaded = await loadModel({ width: 128 });
      const engine = await startEngine(loaded.model, { cacheTypeK, cacheTypeV, flashAttention });
      try {
        const { end } = await complete(engine, 'cache types', { maxTokens: 16 });
        expect(end.usage.completionTokenCount).toBe(16);
      } finally {
        await engine.close();
        await loaded.dispose();
      }
    },
  );
});
