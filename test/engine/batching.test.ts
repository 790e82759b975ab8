import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { GeneratingEngine } from '../../src/engine/engine.ts';
import {
  collect,
  complete,
  type LoadedModel,
  loadModel,
  startEngine,
} from '../../tools/fixtures/start-engine.ts';
import { differsByNearTie, greedyReplay } from '../support/greedy-replay.ts';

let loaded: LoadedModel;
let engine: GeneratingEngine;

beforeAll(async () => {
  loaded = await loadModel();
  engine = await startEngine(loaded.model, { slotCount: 16 });
});

afterAll(async () => {
  await engine.close();
  await loaded.dispose();
});

const rendered = (content: string) =>
  `<|im_start|>user\n${content}<|im_end|>\n<|im_start|>assistant\n`;
const prompts = Array.from(
  { length: 16 },
  (_, index) => `Story ${index}: ${'once more '.repeat(index * 2)}go`,
);

describe('continuous batching', () => {
  test('gives a sequence the 64 tokens it gets alone, whoever runs beside it', async () => {
    const alone: string[] = [];
    for (const prompt of prompts) {
      alone.push((await complete(engine, prompt, { maxTokens: 64 })).text);
    }
    const together = await Promise.all(
      prompts.map((prompt) => complete(engine, prompt, { maxTokens: 64 })),
    );
    let nearTieCount = 0;
    for (const [index, prompt] of prompts.entries()) {
      const one = alone[index] as string;
      const other = together[index]?.text as string;
      const isNearTie =
        one !== other && (await differsByNearTie(loaded.model, rendered(prompt), [one, other]));
      if (isNearTie) nearTieCount += 1;
      else expect(other).toBe(one);
    }
    if (nearTieCount > 0) console.log(`${nearTieCount} of 16 differ by a near-tie`);
  });

  test('agrees with the text of node-llama-cpp’s own loop', async () => {
    const prompt = prompts[3] as string;
    const { text } = await complete(engine, prompt, { maxTokens: 48 });
    const steps = await greedyReplay(loaded.model, rendered(prompt), 48);
    expect(text).toBe(steps.at(-1)?.text);
    expect(Math.min(...steps.map((step) => step.gap))).toBeGreaterThan(0);
  });

  test('runs 16 equal streams of 48 tokens in at most 60 calls of llama_decode', async () => {
    const message = { role: 'user', content: 'all the same' } as const;
    const equal = await Promise.all(
      Array.from({ length: 16 }, () => engine.generator.prepareChat([message])),
    );
    const before = engine.stats();
    await Promise.all(
      equal.map((prompt) => collect(engine.generator.generate({ prompt, maxTokens: 48 }))),
    );
    const after = engine.stats();
    expect(after.decodeCallCount - before.decodeCallCount).toBeLessThanOrEqual(60);
    expect(after.sampledTokenCount - before.sampledTokenCount).toBe(16 * 48);
  });

  test('lets a sequence join while others run', async () => {
    const running = complete(engine, 'runs long', { maxTokens: 300 });
    const before = engine.stats();
    const joined = await complete(engine, 'joins', { maxTokens: 10 });
    expect(joined.end.usage.completionTokenCount).toBe(10);
    expect(engine.stats().runningCount).toBe(1);
    await running;
    const steps = engine.stats().decodeCallCount - before.decodeCallCount;
    expect(steps).toBeLessThanOrEqual(305);
  });

  test('counts exactly what it computed', async () => {
    const before = engine.stats();
    const ends = await Promise.all(
      prompts.map((prompt, index) => complete(engine, prompt, { maxTokens: 5 + index })),
    );
    const after = engine.stats();
    const sum = (pick: (end: (typeof ends)[number]['end']) => number) =>
      ends.reduce((total, { end }) => total + pick(end), 0);
    const cachedTokens = sum((end) => end.usage.cachedTokenCount);
    const promptTokens = sum((end) => end.usage.promptTokenCount) - cachedTokens;
    const completionTokens = sum((end) => end.usage.completionTokenCount);
    expect(after.prefilledTokenCount - before.prefilledTokenCount).toBe(promptTokens);
    expect(after.cachedTokenCount - before.cachedTokenCount).toBe(cachedTokens);
    expect(after.sampledTokenCount - before.sampledTokenCount).toBe(completionTokens);
    // The last token of a completion is never computed: nothing follows it.
    expect(after.decodedTokenCount - before.decodedTokenCount).toBe(
      promptTokens + completionTokens - ends.length,
    );
  });
});

describe('200 requests on 4 slots', () => {
  test('all finish, and none gets another’s text', async () => {
    const small = await startEngine(loaded.model, { slotCount: 4 });
    try {
      const distinct = Array.from({ length: 20 }, (_, index) => `Request number ${index}`);
      const expected = new Map<string, string>();
      for (const prompt of distinct) {
        expected.set(prompt, (await complete(small, prompt, { maxTokens: 12 })).text);
      }
      expect(new Set(expected.values()).size).toBe(distinct.length);
      const asked = Array.from({ length: 200 }, (_, index) => distinct[index % 20] as string);
      const answers = await Promise.all(
        asked.map((prompt) => complete(small, prompt, { maxTokens: 12 })),
      );
      for (const [index, { text }] of answers.entries()) {
        expect(text).toBe(expected.get(asked[index] as string));
      }
      expect(small.stats()).toMatchObject({
        runningCount: 0,
        waitingCount: 0,
        usedKvTokenCount: 0,
      });
    } finally {
      await small.close();
    }
  });
});

describe('a KV cache smaller than slots × context', () => {
  test('pauses the youngest and resumes it, and everybody gets the text they get alone', async () => {
    const tight = await startEngine(loaded.model, {
      slotCount: 4,
      contextLength: 256,
      kvTokenCount: 256,
    });
    try {
      const request = { maxTokens: 100 };
      const asked = ['first one', 'second one', 'third one', 'fourth one'];
      const alone: string[] = [];
      for (const prompt of asked) alone.push((await complete(tight, prompt, request)).text);
      const together = await Promise.all(asked.map((prompt) => complete(tight, prompt, request)));
      expect(together.map(({ text }) => text)).toEqual(alone);
      expect(together.every(({ end }) => end.finishReason === 'length')).toBe(true);
      expect(tight.stats().preemptedSequenceCount).toBeGreaterThan(0);
      expect(tight.stats().usedKvTokenCount).toBe(0);
    } finally {
      await tight.close();
    }
  });

  test('refuses at once what can never fit', async () => {
    const tight = await startEngine(loaded.model, { contextLength: 512, kvTokenCount: 300 });
    try {
      expect(tight.info.contextLength).toBe(300);
      await expect(complete(tight, 'x '.repeat(300), { maxTokens: 1 })).rejects.toMatchObject({
        code: 'context_length_exceeded',
      });
    } finally {
      await tight.close();
    }
  });
});

describe('prompts longer than a chunk', () => {
  test('give the same text whatever the chunk and batch sizes', async () => {
    const content = 'tell me of the mountain and the water '.repeat(40);
    const texts: string[] = [];
    for (const [batchSize, ubatchSize] of [
      [2048, 512],
      [64, 32],
      [100, 7],
    ] as const) {
      const chunked = await startEngine(loaded.model, {
        contextLength: 1024,
        batchSize,
        ubatchSize,
      });
      const noise = complete(chunked, 'noise', { maxTokens: 200 });
      texts.push((await complete(chunked, content, { maxTokens: 20 })).text);
      await noise;
      await chunked.close();
    }
    expect(new Set(texts).size).toBe(1);
  });
});
