/**
 * Long prompts that are computed in a context of their own while others decode: the texts are those they
 * give alone, and nothing is left behind however they end.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ChatMessage } from '../../src/engine/chat.ts';
import type { GeneratingEngine } from '../../src/engine/engine.ts';
import type { EngineEvent } from '../../src/engine/generator.ts';
import {
  type Completion,
  collect,
  complete,
  firstLikeliest,
  type LoadedModel,
  loadModel,
  logprobGap,
  startEngine,
} from '../../tools/fixtures/start-engine.ts';

const user = (content: string): ChatMessage => ({ role: 'user', content });
/** About `count` tokens that no other `seed` shares. */
const words = (seed: string, count: number) =>
  Array.from({ length: count }, (_, index) => `${seed}${(index * 7919) % 1000}`).join(' ');

const laneOptions = {
  kvLayout: 'split',
  contextLength: 4096,
  backgroundPrefill: true,
  stepTargetMs: 5,
} as const;

let loaded: LoadedModel;

beforeAll(async () => {
  loaded = await loadModel({ contextLength: 4096 });
});
afterAll(() => loaded.dispose());

/** Runs `during` while a stream decodes, and returns the stream's text with what that returned. */
async function besideStream<T>(engine: GeneratingEngine, during: () => Promise<T>) {
  const prompt = await engine.generator.prepareChat([user('Count.')]);
  const leave = new AbortController();
  let begun: () => void = () => {};
  const began = new Promise<void>((resolve) => {
    begun = resolve;
  });
  let text = '';
  const stream = (async () => {
    const sampling = { temperature: 0, ignoreEos: true };
    const request = { prompt, maxTokens: 3000, sampling, cacheScope: 'stream' };
    for await (const event of engine.generator.generate(request, leave.signal)) {
      if (event.type === 'text-delta') text += event.text;
      begun();
    }
  })();
  await began;
  const result = await during();
  leave.abort();
  await stream;
  return { text, result };
}

/** The limit is against a test that hangs. */
async function waitFor(condition: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + 60_000;
  while (!condition() && performance.now() < deadlineMs) await sleep(5);
  expect(condition()).toBe(true);
}

describe('a long prompt beside a stream', () => {
  test.each([
    ['off', 'f32'],
    ['on', 'f16'],
    ['off', 'f16'],
  ] as const)('gives the text it gives alone: flash attention %s, %s', async (attention, type) => {
    const options = {
      ...laneOptions,
      flashAttention: attention,
      cacheTypeK: type,
      cacheTypeV: type,
    } as const;
    const plain = await startEngine(loaded.model, { ...options, backgroundPrefill: false });
    const engine = await startEngine(loaded.model, options);
    try {
      expect(engine.info).toMatchObject({ backgroundPrefill: true });
      expect(engine.info.backgroundPrefillDisabledReason).toBeUndefined();
      for (const seed of ['a', 'b']) {
        const chat = [user(words(seed, 500))];
        const expected = await complete(plain, chat, { maxTokens: 16 });
        const alone = await complete(engine, chat, { maxTokens: 16, cacheScope: 'alone' });
        expect(alone.text).toBe(expected.text);
        expect(alone.end.usage).toEqual(expected.end.usage);
        const before = engine.stats();
        const { result } = await besideStream(engine, () =>
          complete(engine, chat, { maxTokens: 16, cacheScope: 'beside' }),
        );
        const after = engine.stats();
        expect(result.text).toBe(expected.text);
        expect(result.end.usage).toEqual(expected.end.usage);
        const promptTokens = result.end.usage.promptTokenCount;
        expect(after.backgroundPrefilledTokenCount - before.backgroundPrefilledTokenCount).toBe(
          promptTokens - 1,
        );
        expect(after.prefilledTokenCount - before.prefilledTokenCount).toBeGreaterThanOrEqual(
          promptTokens,
        );
      }
    } finally {
      await plain.close();
      await engine.close();
    }
  });

  test('goes on behind what the cache holds of it, and is there for the next turn', async () => {
    const engine = await startEngine(loaded.model, laneOptions);
    try {
      const chat = [user(words('a', 300))];
      const first = await complete(engine, chat, { maxTokens: 8 });
      const before = engine.stats().backgroundPrefilledTokenCount;
      const next = [...chat, { role: 'assistant', content: first.text } as const];
      const long = [...next, user(words('b', 300))];
      const { result } = await besideStream(engine, () => complete(engine, long, { maxTokens: 8 }));
      expect(result.end.usage.cachedTokenCount).toBeGreaterThan(250);
      const computed = result.end.usage.promptTokenCount - result.end.usage.cachedTokenCount;
      expect(engine.stats().backgroundPrefilledTokenCount - before).toBe(computed - 1);
      const again = await complete(engine, long, { maxTokens: 8 });
      expect(again.text).toBe(result.text);
      expect(again.end.usage.cachedTokenCount).toBe(again.end.usage.promptTokenCount - 1);
      const cold = await complete(engine, long, { maxTokens: 8, cacheScope: 'cold' });
      expect(cold.text).toBe(result.text);
    } finally {
      await engine.close();
    }
  });

  test('shares with those that arrive while it is computed', async () => {
    const engine = await startEngine(loaded.model, laneOptions);
    try {
      const shared = { role: 'system', content: words('s', 600) } as const;
      const chats = ['one', 'two', 'three'].map((word) => [shared, user(word)]);
      const { result } = await besideStream(engine, () =>
        Promise.all(chats.map((chat) => complete(engine, chat, { maxTokens: 8 }))),
      );
      expect(engine.stats().backgroundPrefilledTokenCount).toBeGreaterThan(500);
      for (const [index, chat] of chats.entries()) {
        const cold = await complete(engine, chat, { maxTokens: 8, cacheScope: `cold ${index}` });
        expect(result[index]?.text).toBe(cold.text);
      }
      const cachedCounts = result.map(({ end }) => end.usage.cachedTokenCount);
      expect(cachedCounts.filter((count) => count > 500)).toHaveLength(2);
    } finally {
      await engine.close();
    }
  });

  test.each([
    ['that comes with them', false],
    ['that is cached', true],
  ])('computes what chats have behind a beginning %s side by side', async (_what, warm) => {
    const options = { ...laneOptions, slotCount: 8, flashAttention: 'on' } as const;
    const plain = await startEngine(loaded.model, { ...laneOptions, backgroundPrefill: false });
    const engine = await startEngine(loaded.model, options);
    try {
      // A chat that arrives later than the others, because this process lost its processor, is computed with the running
      // ones: in three of the rounds all are to be computed side by side.
      let roundCount = 0;
      for (let sideBySide = 0; sideBySide < 3; ) {
        expect(roundCount).toBeLessThan(30);
        const seed = `r${roundCount++}x`;
        const shared = { role: 'system', content: words(seed, 200) } as const;
        const chats = ['k', 'l', 'm', 'n', 'o'].map((own) => [shared, user(words(own, 8))]);
        const request = { maxTokens: 8, cacheScope: seed, logprobs: firstLikeliest };
        if (warm) await complete(engine, [shared, user('first')], request);
        const before = engine.stats();
        const prompts = await Promise.all(chats.map((chat) => engine.generator.prepareChat(chat)));
        const sampling = { temperature: 0 };
        const replies = await Promise.all(
          prompts.map((prompt) =>
            collect(engine.generator.generate({ sampling, ...request, prompt })),
          ),
        );
        const after = engine.stats();
        // All but the last token of each that was computed, whether it was first or followed.
        const computed = after.prefilledTokenCount - before.prefilledTokenCount;
        const inLane = after.backgroundPrefilledTokenCount - before.backgroundPrefilledTokenCount;
        expect(inLane).toBeLessThanOrEqual(computed - chats.length);
        const sharing = replies.filter(({ end }) => end.usage.cachedTokenCount > 300);
        const isSideBySide =
          inLane === computed - chats.length && sharing.length === chats.length - Number(!warm);
        if (isSideBySide) sideBySide += 1;
        for (const [index, chat] of chats.entries()) {
          const scope = `${seed} ${index}`;
          const cold = await complete(plain, chat, { ...request, cacheScope: scope });
          const reply = replies[index] as Completion;
          expect(logprobGap(reply, cold)).toBeLessThan(0.3);
          expect(reply.end.usage.promptTokenCount).toBe(cold.end.usage.promptTokenCount);
        }
      }
    } finally {
      await plain.close();
      await engine.close();
    }
  });

  test('can be left at any moment', { timeout: 60_000 }, async () => {
    const engine = await startEngine(loaded.model, laneOptions);
    try {
      await besideStream(engine, async () => {
        for (let round = 0; round < 12; round++) {
          const prompt = await engine.generator.prepareChat([user(words(`r${round}x`, 500))]);
          const leave = new AbortController();
          const events: EngineEvent[] = [];
          const before = engine.stats().backgroundPrefilledTokenCount;
          const reading = (async () => {
            const request = { prompt, maxTokens: 4, sampling: { temperature: 0 } };
            for await (const event of engine.generator.generate(request, leave.signal))
              events.push(event);
          })();
          if (round % 3 > 0)
            await waitFor(() => engine.stats().backgroundPrefilledTokenCount > before);
          if (round % 3 > 1) await sleep(round);
          leave.abort();
          await reading;
          expect(events.at(-1)?.type).toBe('sequence-end');
        }
      });
      await waitFor(() => engine.stats().runningCount === 0);
      const { end } = await complete(engine, [user(words('r1x', 500))], { maxTokens: 4 });
      expect(end.finishReason).not.toBe('cancelled');
    } finally {
      await engine.close();
    }
  });

  test('does not keep the engine from closing', async () => {
    for (let round = 0; round < 5; round++) {
      const engine = await startEngine(loaded.model, laneOptions);
      const asked = besideStream(engine, async () => {
        const long = complete(engine, [user(words('a', 700))], { maxTokens: 4 });
        const reason = await Promise.race([
          long.then(({ end }) => end.finishReason),
          waitFor(() => engine.stats().backgroundPrefilledTokenCount > 0)
            .then(() => sleep(round))
            .then(() => engine.close())
            .then(() => long)
            .then(({ end }) => end.finishReason),
        ]);
        expect(reason).toBe('cancelled');
      });
      await asked;
    }
  });
});

test.each([
  ['a unified cache', { kvLayout: 'unified' }],
  ['one slot', { slotCount: 1 }],
  ['a wish not to', { backgroundPrefill: false }],
] as const)('there is no background prefill with %s', async (_what, options) => {
  const engine = await startEngine(loaded.model, { ...laneOptions, ...options });
  expect(engine.info.backgroundPrefill).toBe(false);
  expect(engine.info.backgroundPrefillDisabledReason).toBeUndefined();
  await engine.close();
});

// The one looks back over a window, the other keeps states.
test.each(['olmo2', 'lfm2'] as const)(
  'there is no background prefill for %s',
  async (architecture) => {
    const other = await loadModel({ architecture, layerCount: 4 });
    try {
      const engine = await startEngine(other.model, { ...laneOptions, contextLength: 512 });
      expect(engine.info.backgroundPrefill).toBe(false);
      await engine.close();
    } finally {
      await other.dispose();
    }
  },
);
