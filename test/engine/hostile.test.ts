/**
 * What a client may send and an engine must survive: in one process a crash ends every user's stream.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { GeneratingEngine } from '../../src/engine/engine.ts';
import type { SamplingParams } from '../../src/engine/sampling-params.ts';
import {
  complete,
  type LoadedModel,
  loadModel,
  startEngine,
  until,
} from '../../tools/fixtures/start-engine.ts';
import { tinyVocabulary } from '../../tools/fixtures/tiny-vocabulary.ts';

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

describe('long stretches of one character', () => {
  // These pre-tokenizers go through std::regex, which recurses once for each character of a match.
  test.each(['gpt-2', 'gpt-4o', 'tekken', 'deepseek-v3', 'default'])(
    'are tokenized by %s without exhausting the stack',
    async (preTokenizer) => {
      const other = await loadModel({ vocabulary: { ...tinyVocabulary(), preTokenizer } });
      const otherEngine = await startEngine(other.model);
      try {
        for (const character of ['a', '!', ' ', '漢']) {
          const content = character.repeat(60_000);
          const prompt = await otherEngine.generator.prepareChat([{ role: 'user', content }]);
          expect(prompt.tokenCount).toBeGreaterThan(100);
        }
      } finally {
        await otherEngine.close();
        await other.dispose();
      }
    },
  );

  test('beyond all measure are refused', async () => {
    const content = 'a'.repeat(600_000);
    await expect(complete(engine, content)).rejects.toMatchObject({
      code: 'bad_request',
      message: expect.stringContaining('characters in a row'),
    });
  });
});

describe('odd text', () => {
  test.each([
    ['nothing', ''],
    ['a NUL', 'a\0b'],
    ['a byte order mark', '\ufeff'],
    ['control tokens', '<|im_end|><|im_start|>'],
  ])('with %s is answered', async (_name, content) => {
    const { end } = await complete(engine, content, { maxTokens: 3 });
    expect(end.usage.completionTokenCount).toBe(3);
  });

  test.each([
    ['no messages', []],
    ['half of a surrogate pair', [{ role: 'user', content: 'a\ud800b' }]],
  ] as const)('%s are refused', async (_name, messages) => {
    await expect(complete(engine, messages, { maxTokens: 3 })).rejects.toMatchObject({
      code: 'bad_request',
    });
  });
});

describe('sampling parameters', () => {
  const extremes: [string, SamplingParams][] = [
    ['a temperature next to nothing', { temperature: 1e-40 }],
    ['a temperature beyond sense', { temperature: 1e30 }],
    ['everything off', { temperature: 1, topK: 0, topP: 1, minP: 0 }],
    [
      'a bias on a token that does not exist',
      {
        logitBias: [
          [-5, 10],
          [10_000_000, 10],
        ],
      },
    ],
    ['no samplers', { samplers: [] }],
    ['mirostat', { temperature: 1, mirostat: 2 }],
    ['dry with odd breakers', { dryMultiplier: 1, drySequenceBreakers: ['', 'x'.repeat(500)] }],
    ['penalties over everything', { repeatLastN: -1, repeatPenalty: 1.5, frequencyPenalty: 2 }],
  ];

  test.each(extremes)('%s gives tokens', async (_name, sampling) => {
    const { end } = await complete(engine, 'hello', { maxTokens: 8, sampling });
    expect(end.usage.completionTokenCount).toBeGreaterThan(0);
  });

  test('a temperature next to nothing is greedy', async () => {
    const greedy = await complete(engine, 'hello', { maxTokens: 20 });
    const nearly = await complete(engine, 'hello', {
      maxTokens: 20,
      sampling: { temperature: 1e-40 },
    });
    expect(nearly.text).toBe(greedy.text);
  });

  test.each([
    ['an %llguidance grammar', { grammar: '%llguidance {}' }],
    ['a grammar that does not parse', { grammar: 'root ::= (' }],
    ['a repetition penalty of zero', { repeatPenalty: 0 }],
  ] satisfies [string, SamplingParams][])('%s is refused', async (_name, sampling) => {
    const attempt = complete(engine, 'hello', { maxTokens: 8, sampling });
    await expect(attempt).rejects.toMatchObject({ code: 'bad_request' });
  });

  test('a grammar that comes to its end ends the completion, and nobody else’s', async () => {
    const neighbour = complete(engine, 'beside', { maxTokens: 60 });
    const { text, end } = await complete(engine, 'hello', {
      maxTokens: 8,
      sampling: { temperature: 0, grammar: 'root ::= "a"', ignoreEos: true },
    });
    expect(text).toBe('a');
    expect(end.finishReason).toBe('stop');
    expect((await neighbour).end.usage.completionTokenCount).toBe(60);
  });
});

describe('readers that stop reading', () => {
  test('do not keep others from the slots', async () => {
    const small = await startEngine(loaded.model, { slotCount: 2, contextLength: 2048 });
    try {
      const prompt = await small.generator.prepareChat([{ role: 'user', content: 'unread' }]);
      const unread = [1, 2].map(() => small.generator.generate({ prompt, maxTokens: 1500 }));
      for (const events of unread) await events[Symbol.asyncIterator]().next();
      const waiting = await complete(small, 'reads', { maxTokens: 600 });
      expect(waiting.end.usage.completionTokenCount).toBe(600);
      for (const events of unread) await events[Symbol.asyncIterator]().return?.(undefined);
      await until(() => small.stats().runningCount + small.stats().waitingCount === 0, 'all gone');
    } finally {
      await small.close();
    }
  });
});
