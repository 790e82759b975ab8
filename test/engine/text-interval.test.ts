/** Texts that wait for those of the next steps: `streamIntervalMs`. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { GeneratingEngine } from '../../src/engine/engine.ts';
import {
  type LoadedModel,
  loadModel,
  noStrayBytes,
  startEngine,
} from '../../tools/fixtures/start-engine.ts';

const forEverMs = 60_000;
/** Takes long enough for a stalled event loop to find its end apart from its beginning. */
const tokenCount = 400;

let loaded: LoadedModel;
let engine: GeneratingEngine;
let gaps: number[] = [];

beforeAll(async () => {
  loaded = await loadModel();
  engine = await startEngine(loaded.model, {
    streamIntervalMs: forEverMs,
    onInterToken: (ms) => gaps.push(ms),
  });
});

afterAll(async () => {
  await engine.close();
  await loaded.dispose();
});

/** How many texts of one stream arrive in each turn of the event loop in which some do. */
async function arrivals(content: string, maxTokens: number): Promise<readonly number[]> {
  const prompt = await engine.generator.prepareChat([{ role: 'user', content }]);
  const groups: number[] = [];
  let isNewTurn = true;
  for await (const event of engine.generator.generate({
    prompt,
    maxTokens,
    // Bytes that are whole characters: every token is a text.
    sampling: { ...noStrayBytes, seed: 1n, ignoreEos: true },
  })) {
    if (event.type !== 'text-delta') continue;
    if (isNewTurn) {
      isNewTurn = false;
      setImmediate(() => {
        isNewTurn = true;
      });
      groups.push(0);
    }
    groups[groups.length - 1] = (groups.at(-1) ?? 0) + 1;
  }
  return groups;
}

test('the first text comes at once, the others with the end', async () => {
  gaps = [];
  const startedAtMs = performance.now();
  const groups = await arrivals('one stream', tokenCount);
  const wallMs = performance.now() - startedAtMs;
  expect(groups).toEqual([1, tokenCount - 1]);
  expect(gaps).toHaveLength(tokenCount - 1);
  // They share the time since the first one.
  expect(new Set(gaps).size).toBe(1);
  const sum = gaps.reduce((all, ms) => all + ms, 0);
  expect(sum).toBeGreaterThan(0);
  expect(sum).toBeLessThanOrEqual(wallMs);
});

test('what another stream has to tell takes along what waits', async () => {
  const long = arrivals('the long one', tokenCount);
  const short = arrivals('the short one', tokenCount / 2);
  const [groups, shortGroups] = await Promise.all([long, short]);
  expect(shortGroups.reduce((all, count) => all + count)).toBe(tokenCount / 2);
  expect(groups.reduce((all, count) => all + count)).toBe(tokenCount);
  // Its own first text and end, and at most the first text and the end of the other.
  expect(groups.length).toBeGreaterThanOrEqual(2);
  expect(groups.length).toBeLessThanOrEqual(4);
});
