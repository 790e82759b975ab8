/**
 * Sampling that starts from the likeliest tokens, instead of from the whole vocabulary, chooses what llama.cpp's
 * sampler chain chooses. A bias of 0 changes nothing, but makes the engine take the whole chain.
 */
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { GeneratingEngine } from '../../src/engine/engine.ts';
import type { SamplingParams } from '../../src/engine/sampling-params.ts';
import {
  complete,
  type LoadedModel,
  loadModel,
  startEngine,
} from '../../tools/fixtures/start-engine.ts';

const bundledModel = fileURLToPath(new URL('../../models/tiny-chat.gguf', import.meta.url));
let models: LoadedModel[];
let engines: GeneratingEngine[];

beforeAll(async () => {
  models = [await loadModel(bundledModel), await loadModel()];
  // One slot with cells of its own: two requests, one after the other, are computed in the same shapes and cells.
  engines = await Promise.all(
    models.map(({ model }) => startEngine(model, { slotCount: 1, kvLayout: 'split' })),
  );
});
afterAll(async () => {
  for (const engine of engines) await engine.close();
  for (const model of models) await model.dispose();
});

const cases: readonly SamplingParams[] = [
  {},
  { temperature: 1.5 },
  { temperature: 0.7, topP: 0.5 },
  { topK: 1 },
  { topK: 5, minP: 0, topP: 1 },
  { topK: 200, temperature: 2 },
  { topK: 256, typicalP: 0.8 },
  { xtcProbability: 0.5, xtcThreshold: 0.05 },
  { temperature: 1, dynatempRange: 0.5 },
  { ignoreEos: true, temperature: 1.2 },
  { samplers: ['top_k', 'temperature'], topK: 12 },
  { samplers: ['top_k', 'penalties', 'temperature'], topK: 12, repeatPenalty: 1.4 },
];

test.each(cases.map((sampling) => [JSON.stringify(sampling), sampling] as const))(
  'the same tokens as by the whole chain: %s',
  async (_name, sampling) => {
    for (const engine of engines) {
      for (let seed = 1n; seed <= 6n; seed++) {
        // Each from a cold cache.
        const ask = (logitBias: SamplingParams['logitBias']) =>
          complete(engine, `Say something, number ${seed}.`, {
            maxTokens: 40,
            cacheScope: `${logitBias ? 'whole' : 'fast'} ${seed} ${JSON.stringify(sampling)}`,
            sampling: { ...sampling, seed, ...(logitBias && { logitBias }) },
          });
        const fast = await ask(undefined);
        const whole = await ask([[7, 0]]);
        expect(fast.text).toBe(whole.text);
        expect(fast.end.usage).toEqual(whole.end.usage);
      }
    }
  },
);

test('what is excluded is never chosen', async () => {
  const [, engine] = engines;
  if (engine === undefined) throw new Error('no engine');
  const sampling = { temperature: 2, topK: 40, seed: 3n, ignoreEos: true };
  const free = await complete(engine, 'go on', { maxTokens: 60, sampling });
  expect(free.end.usage.completionTokenCount).toBe(60);
  const banned = Array.from(
    { length: 200 },
    (_, token) => [token, Number.NEGATIVE_INFINITY] as const,
  );
  const rest = await complete(engine, 'go on', {
    maxTokens: 60,
    sampling: { ...sampling, logitBias: banned },
  });
  const chain = await complete(engine, 'go on', {
    maxTokens: 60,
    sampling: { ...sampling, logitBias: [...banned, [250, 0] as const] },
  });
  expect(rest.text).toBe(chain.text);
  expect(rest.text).not.toBe(free.text);
});
