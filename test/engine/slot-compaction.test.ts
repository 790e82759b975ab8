/**
 * Sequences of a split cache that are moved to lie beside each other: their texts stay those they give
 * alone, and what is kept stays cached.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ChatMessage } from '../../src/engine/chat.ts';
import type { GeneratingEngine } from '../../src/engine/engine.ts';
import {
  complete,
  type LoadedModel,
  loadModel,
  startEngine,
} from '../../tools/fixtures/start-engine.ts';

const user = (content: string): ChatMessage => ({ role: 'user', content });
/** Twelve chats, of which every other one ends soon; they begin in no certain order. */
const chats = Array.from({ length: 12 }, (_, index) => ({
  messages: [user(`${'abcdefghijkl'[index]} `.repeat(20 + 15 * index))],
  maxTokens: index % 2 === 0 ? 8 : 100,
}));
const splitOptions = { kvLayout: 'split', slotCount: 12, contextLength: 1024 } as const;

const ask = (engine: GeneratingEngine, { messages, maxTokens }: (typeof chats)[number]) =>
  complete(engine, messages, { maxTokens, sampling: { temperature: 0, ignoreEos: true } });

// A model with a sliding window, as olmo2 is, moves no sequence while every slot holds tokens.
describe.each([
  ['llama', 12],
  ['olmo2', 14],
] as const)('%s', (architecture, slotCount) => {
  let loaded: LoadedModel;
  beforeAll(async () => {
    loaded = await loadModel({ architecture, contextLength: 1024 });
  });
  afterAll(() => loaded.dispose());

  test.each([
    ['off', 'f32'],
    ['on', 'f16'],
    ['off', 'f16'],
  ] as const)(
    'gives the texts they give alone: flash attention %s, %s',
    async (attention, type) => {
      const cache = { cacheTypeK: type, cacheTypeV: type, flashAttention: attention } as const;
      const engine = await startEngine(loaded.model, { ...splitOptions, slotCount, ...cache });
      try {
        const alone: string[] = [];
        for (const chat of chats) alone.push((await ask(engine, chat)).text);
        for (let round = 0; round < 3; round++) {
          const together = await Promise.all(chats.map((chat) => ask(engine, chat)));
          expect(together.map(({ text }) => text)).toEqual(alone);
        }
        expect(engine.stats().movedSequenceCount).toBeGreaterThan(0);
      } finally {
        await engine.close();
      }
    },
  );
});

describe('a conversation', () => {
  let loaded: LoadedModel;
  beforeAll(async () => {
    loaded = await loadModel({ contextLength: 1024 });
  });
  afterAll(() => loaded.dispose());

  test('is cached wherever it was moved to', async () => {
    const engine = await startEngine(loaded.model, splitOptions);
    try {
      await Promise.all(chats.map((chat) => ask(engine, chat)));
      const first = await Promise.all(chats.map((chat) => ask(engine, chat)));
      expect(engine.stats().movedSequenceCount).toBeGreaterThan(0);
      for (const [index, reply] of first.entries()) {
        const { messages = [] } = chats[index] ?? {};
        const answer = { role: 'assistant', content: reply.text } as const;
        const next = [...messages, answer, user('And then?')];
        const { usage } = (await complete(engine, next, { maxTokens: 4 })).end;
        expect(usage.cachedTokenCount).toBeGreaterThanOrEqual(reply.end.usage.promptTokenCount);
      }
    } finally {
      await engine.close();
    }
  });

  test('no sequence is moved in a unified cache', async () => {
    const engine = await startEngine(loaded.model, { ...splitOptions, kvLayout: 'unified' });
    try {
      await Promise.all(chats.map((chat) => ask(engine, chat)));
      expect(engine.stats().movedSequenceCount).toBe(0);
    } finally {
      await engine.close();
    }
  });
});
