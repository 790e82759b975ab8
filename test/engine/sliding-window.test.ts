/**
 * Layers that keep only their window: the text beyond the window is llama.cpp's own, alone and in a batch, and cached
 * prompts are continued where the window is still there.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ChatMessage } from '../../src/engine/chat.ts';
import { SeededRandom } from '../../tools/fixtures/seeded-random.ts';
import {
  complete,
  type LoadedModel,
  loadModel,
  startEngine,
} from '../../tools/fixtures/start-engine.ts';
import { gapWhereTextsPart, greedyReplay, nearTieGap } from '../support/greedy-replay.ts';

// Half of the layers of OLMo 2 attend to a window, five of six of Gemma 3, whose heads are wide enough for kernels of
// our own.
const shapes = {
  'OLMo 2': { architecture: 'olmo2', layerCount: 4 },
  'Gemma 3': {
    architecture: 'gemma3',
    ...{ layerCount: 6, windowPattern: 6, headCount: 2, kvHeadCount: 1, headWidth: 64 },
  },
} as const;

const vocabulary = 'the water mountain over people long day count spell add hello seven'.split(' ');

function words(seed: string, count: number): string {
  const random = new SeededRandom(seed);
  return Array.from({ length: count }, () => vocabulary[random.integer(0, 11)]).join(' ');
}

const user = (content: string): ChatMessage => ({ role: 'user', content });
const tokenCount = 24;
// A ubatch beside the window, padded to 256 cells: these prompts go around the cache several times.
const options = { slotCount: 4, contextLength: 2048, ubatchSize: 64, kvLayout: 'split' } as const;
const chats = ['a', 'b', 'c', 'd'].map((seed, i) => [user(words(seed, 300 + 80 * i))]);

describe.each(Object.entries(shapes))('%s', (_, shape) => {
  let loaded: LoadedModel;
  beforeAll(async () => {
    loaded = await loadModel(shape);
  });
  afterAll(() => loaded.dispose());

  test.each([
    ['auto', 'split'],
    ['off', 'split'],
    ['on', 'split'],
    ['auto', 'unified'],
    ['off', 'unified'],
  ] as const)(
    'text beyond the window is as llama.cpp writes it: SWA_FULL=%s, %s',
    { timeout: 120_000 },
    async (swaFull, kvLayout) => {
      const engine = await startEngine(loaded.model, { ...options, swaFull, kvLayout });
      try {
        const ask = async (chat: ChatMessage[], cacheScope: string) =>
          await complete(engine, chat, { maxTokens: tokenCount, cacheScope });
        const batched = await Promise.all(chats.map((chat) => ask(chat, 'batched')));
        for (const [i, chat] of chats.entries()) {
          const prompt = await engine.generator.renderChat(chat);
          const replay = await greedyReplay(loaded.model, prompt, tokenCount);
          const expected = replay.at(-1)?.text ?? '';
          const alone = await ask(chat, 'alone');
          expect(alone.end.usage.promptTokenCount).toBeGreaterThan(500);
          for (const { text } of [alone, batched[i] ?? alone]) {
            if (text === expected) continue;
            const gap = await gapWhereTextsPart(loaded.model, prompt, [expected, text]);
            console.log(
              `where the two best logits are ${gap.toExponential(1)} apart, the texts part`,
            );
            expect(gap).toBeLessThan(nearTieGap);
          }
        }
      } finally {
        await engine.close();
      }
    },
  );

  test('a next turn continues what is cached, and a branch behind the window is computed again', async () => {
    const engine = await startEngine(loaded.model, { ...options, swaFull: 'off' });
    try {
      const first = [user(words('first', 400))];
      const reply = await complete(engine, first, { maxTokens: tokenCount });
      const next = [...first, { role: 'assistant', content: reply.text } as const, user('seven')];
      const continued = await complete(engine, next, { maxTokens: tokenCount });
      const { promptTokenCount, cachedTokenCount } = continued.end.usage;
      expect(cachedTokenCount).toBeGreaterThan(0.9 * promptTokenCount);
      const cold = await complete(engine, next, { maxTokens: tokenCount, cacheScope: 'cold' });
      expect(continued.text).toBe(cold.text);

      // The first half is the same, but its window is gone.
      const half = words('first', 400).split(' ').slice(0, 200).join(' ');
      const branch = [user(`${half} ${words('branch', 200)}`)];
      const branched = await complete(engine, branch, { maxTokens: tokenCount });
      expect(branched.end.usage.cachedTokenCount).toBe(0);
      const coldBranch = await complete(engine, branch, {
        maxTokens: tokenCount,
        cacheScope: 'cold',
      });
      expect(branched.text).toBe(coldBranch.text);
    } finally {
      await engine.close();
    }
  });

  test('with every token kept, a branch begins with what is cached', async () => {
    const engine = await startEngine(loaded.model, { ...options, swaFull: 'on' });
    try {
      await complete(engine, [user(words('first', 400))], { maxTokens: tokenCount });
      const half = words('first', 400).split(' ').slice(0, 200).join(' ');
      const branched = await complete(engine, [user(`${half} ${words('branch', 200)}`)], {
        maxTokens: tokenCount,
      });
      expect(branched.end.usage.cachedTokenCount).toBeGreaterThan(200);
    } finally {
      await engine.close();
    }
  });
});
