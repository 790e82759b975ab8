import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { statisticsSource } from '../../scripts/statistics-source.ts';
import type { GeneratingEngine } from '../../src/engine/engine.ts';
import { zeroStats } from '../../src/engine/engine-stats.ts';
import { loadAddon } from '../../src/engine/load-addon.ts';
import { type LoadedModel, loadModel, startEngine } from '../../tools/fixtures/start-engine.ts';

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

test('an engine that has done nothing has every statistic, and each is zero', () => {
  expect(engine.stats()).toEqual(zeroStats);
});
