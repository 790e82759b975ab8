import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { statisticsSource } from '../../scripts/statistics-source.ts';
import type { GeneratingEngine } from '../../src/engine/engine.ts';
import { zeroStats } from '../../src/engine/engine-stats.ts';
import { loadAddon } from '../../src/engine/load-addon.ts';
import {
  complete,
  type LoadedModel,
  loadModel,
  startEngine,
} from '../../tools/fixtures/start-engine.ts';

let loaded: LoadedModel;
let engine: GeneratingEngine;

beforeAll(async () => {
  loaded = await loadModel();
  engine = await startEngine(loaded.model);
});

afterAll(async () => {
  await engine.close();
  await loaded.dispose();
});

test('the list of statistics is the one of the addon: npm run docs:metrics writes it', () => {
  const path = new URL('../../src/engine/engine-statistics.ts', import.meta.url);
  expect(readFileSync(path, 'utf8')).toBe(statisticsSource(loadAddon('cpu').statistics));
});

test('an engine that has done nothing has every statistic, and each is zero but for its threads', () => {
  expect(engine.stats()).toEqual({ ...zeroStats, threadCount: 1 });
});

test('every batch is counted by its size', async () => {
  await complete(engine, 'one two three four five six', { maxTokens: 5 });
  const { batchCountBySize, decodedTokenCount, backgroundPrefilledTokenCount } = engine.stats();
  // The prompt in one batch, then tokens one by one; the last one is sampled and not computed.
  expect(batchCountBySize[0]).toBe(4);
  expect(batchCountBySize.reduce((sum, count) => sum + count, 0)).toBe(5);
  const promptCount = decodedTokenCount - backgroundPrefilledTokenCount - 4;
  const size = batchCountBySize.findLastIndex((count) => count > 0);
  expect(promptCount).toBeLessThanOrEqual(2 ** size);
  expect(promptCount).toBeGreaterThan(2 ** (size - 1));
});
