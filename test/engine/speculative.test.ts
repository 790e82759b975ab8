/**
 * Guessed tokens: the text is the one without them, whatever is guessed and whoever runs beside it. What
 * pays is decided by measured times, so nothing here counts on a guess being made at a certain moment,
 * only on many being made where they are right and cheap.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bundledModelPath } from '../../src/core/package-info.ts';
import type { GeneratingEngine } from '../../src/engine/engine.ts';
import type { SpeculativeOptions } from '../../src/engine/engine-options.ts';
import type { EngineRequest } from '../../src/engine/generator.ts';
import { DraftModelError } from '../../src/engine/native-engine.ts';
import {
  type Completion,
  collect,
  complete,
  type LoadedModel,
  loadModel,
  startEngine,
  until,
} from '../../tools/fixtures/start-engine.ts';
import { tinyVocabulary } from '../../tools/fixtures/tiny-vocabulary.ts';

const ngram: SpeculativeOptions = {
  kind: 'ngram',
  minTokens: 1,
  maxTokens: 8,
  ngramSize: 3,
  minProbability: 0,
};
const draftOf = ({ model }: LoadedModel): SpeculativeOptions => ({
  ...ngram,
  kind: 'draft',
  model,
});

/** Digits are single tokens of the tiny vocabulary, so this has one way to be written. */
const cycle = '0123456789';
/** Has no end, so that the model cannot choose one. */
const cycleGrammar = `root ::= "${cycle}" root`;
const cycling = { sampling: { temperature: 0, grammar: cycleGrammar } };

let loaded: LoadedModel;
let plain: GeneratingEngine;
let guessing: GeneratingEngine;

beforeAll(async () => {
  loaded = await loadModel();
  plain = await startEngine(loaded.model);
  guessing = await startEngine(loaded.model, { speculative: ngram });
});

afterAll(async () => {
  await plain.close();
  await guessing.close();
  await loaded.dispose();
});

const cyclePrompt = `count ${cycle}${cycle}`;
const outcomeOf = ({ text, end }: Completion) => ({
  text,
  finishReason: end.finishReason,
  completionTokenCount: end.usage.completionTokenCount,
});

async function expectSame(content: string, request: Omit<EngineRequest, 'prompt'>) {
  const expected = outcomeOf(await complete(plain, content, request));
  expect(outcomeOf(await complete(guessing, content, request))).toEqual(expected);
  return expected;
}

describe('looking up what stood there before', () => {
  test('takes far fewer steps for a text that repeats itself, and counts exactly', async () => {
    const before = guessing.stats();
    const { text, end } = await complete(guessing, cyclePrompt, { ...cycling, maxTokens: 200 });
    const after = guessing.stats();
    expect(text).toBe(cycle.repeat(20));
    expect(end.usage.completionTokenCount).toBe(200);
    const count = (
      key: 'draftCount' | 'draftedTokenCount' | 'acceptedTokenCount' | 'decodeCallCount',
    ) => after[key] - before[key];
    expect(count('decodeCallCount')).toBeLessThan(120);
    expect(count('acceptedTokenCount')).toBeGreaterThan(80);
    expect(count('draftedTokenCount')).toBeGreaterThanOrEqual(count('acceptedTokenCount'));
    expect(count('draftCount')).toBeLessThanOrEqual(count('decodeCallCount'));
    expect(end.drafts).toEqual({
      draftedTokenCount: count('draftedTokenCount'),
      acceptedTokenCount: count('acceptedTokenCount'),
    });
    // Each step gives the guessed tokens that were right and one more.
    expect(count('decodeCallCount') + count('acceptedTokenCount')).toBe(200);
    expect(after.acceptedTokenCountByPosition.reduce((sum, each) => sum + each, 0)).toBe(
      after.acceptedTokenCount,
    );
    expect(after.acceptedTokenCountByPosition.length).toBeLessThanOrEqual(8);
    expect(after.usedKvTokenCount).toBe(0);
  });

  test('ends where it would without, at any length', async () => {
    for (let maxTokens = 1; maxTokens <= 30; maxTokens++) {
      const { text } = await expectSame(cyclePrompt, { ...cycling, maxTokens });
      expect(text).toBe(cycle.repeat(3).slice(0, maxTokens));
    }
  });

  test.each(['5', '890', '67', '901', '4567890123', '3 never comes'])(
    'stops at %j where it would without',
    async (stop) => {
      const { text } = await expectSame(cyclePrompt, { ...cycling, stop: [stop], maxTokens: 60 });
      expect(text).not.toContain(stop);
    },
  );

  test('leaves a cache behind from which the next turn goes on as without', async () => {
    for (const stop of ['5', '890']) {
      const { text } = await complete(guessing, cyclePrompt, { ...cycling, stop: [stop] });
      const turns = [
        { role: 'user', content: cyclePrompt },
        { role: 'assistant', content: text },
        { role: 'user', content: 'and on' },
      ] as const;
      const request = { maxTokens: 30 };
      const expected = outcomeOf(await complete(plain, turns, request));
      expect(outcomeOf(await complete(guessing, turns, request))).toEqual(expected);
    }
  });

  test.each<[string, EngineRequest['sampling']]>([
    ['greedily', { temperature: 0 }],
    ['with a seed', { temperature: 1, seed: 7n }],
    ['with penalties', { temperature: 0.8, seed: 7n, repeatPenalty: 1.3, frequencyPenalty: 0.5 }],
    ['with mirostat', { temperature: 0.8, seed: 7n, mirostat: 2 }],
  ])('chooses the same tokens among few, %s', async (_how, sampling) => {
    // Few tokens make many matches, most of which go on otherwise.
    const digits = await plain.tokenizer.tokenize(cycle, {
      addSpecial: false,
      parseSpecial: false,
    });
    const logitBias = digits.map((token) => [token, 30] as const);
    const request = { sampling: { ...sampling, logitBias }, maxTokens: 120 };
    const eager = await startEngine(loaded.model, { speculative: { ...ngram, ngramSize: 2 } });
    try {
      for (const content of ['go', 'once 0123', cyclePrompt]) {
        const expected = outcomeOf(await complete(plain, content, request));
        expect(outcomeOf(await complete(eager, content, request))).toEqual(expected);
      }
      const { draftedTokenCount, acceptedTokenCount } = eager.stats();
      expect(draftedTokenCount).toBeGreaterThan(acceptedTokenCount);
    } finally {
      await eager.close();
    }
  });

  test('gives several at once the text each gets alone', async () => {
    const contents = Array.from({ length: 12 }, (_, index) => `${index}: ${cyclePrompt}`);
    const request = (index: number) =>
      index % 3 === 0 ? { maxTokens: 60 } : { ...cycling, maxTokens: 60 + index };
    const alone: unknown[] = [];
    for (const [index, content] of contents.entries()) {
      alone.push(outcomeOf(await complete(plain, content, request(index))));
    }
    const before = guessing.stats().acceptedTokenCount;
    const together = await Promise.all(
      contents.map((content, index) => complete(guessing, content, request(index))),
    );
    expect(together.map(outcomeOf)).toEqual(alone);
    expect(guessing.stats().acceptedTokenCount).toBeGreaterThan(before);
    expect(guessing.stats()).toMatchObject({ runningCount: 0, usedKvTokenCount: 0 });
  });

  test('guesses nothing for a request that asks for log probabilities, and goes on for others', async () => {
    const scoredRequest = { ...cycling, logprobs: { topCount: 2, prompt: false }, maxTokens: 60 };
    const alone = await complete(plain, cyclePrompt, scoredRequest);
    const [scored, other] = await Promise.all([
      complete(guessing, cyclePrompt, scoredRequest),
      complete(guessing, `beside: ${cyclePrompt}`, { ...cycling, maxTokens: 200 }),
    ]);
    expect(outcomeOf(scored)).toEqual(outcomeOf(alone));
    expect(scored.end.totalLogprob).toBeCloseTo(alone.end.totalLogprob ?? Number.NaN, 3);
    expect(scored.end.drafts).toEqual({ draftedTokenCount: 0, acceptedTokenCount: 0 });
    expect(other.end.drafts?.acceptedTokenCount).toBeGreaterThan(0);
  });

  test('scores the whole prompt of one beside guesses', async () => {
    const scoredRequest = { ...cycling, logprobs: { topCount: 0, prompt: true }, maxTokens: 20 };
    const alone = await complete(plain, cyclePrompt, scoredRequest);
    const [scored] = await Promise.all([
      complete(guessing, cyclePrompt, scoredRequest),
      complete(guessing, `beside: ${cyclePrompt}`, { ...cycling, maxTokens: 100 }),
    ]);
    expect(outcomeOf(scored)).toEqual(outcomeOf(alone));
    expect(scored.end.usage.cachedTokenCount).toBe(0);
    expect(scored.end.totalLogprob).toBeCloseTo(alone.end.totalLogprob ?? Number.NaN, 3);
  });

  test('can be cancelled amid guesses, and goes on for others', async () => {
    const controller = new AbortController();
    const before = guessing.stats().acceptedTokenCount;
    const running = complete(
      guessing,
      cyclePrompt,
      { ...cycling, maxTokens: 450 },
      controller.signal,
    );
    const beside = complete(guessing, 'beside', { maxTokens: 40 });
    await until(() => guessing.stats().acceptedTokenCount > before, 'a guess that is right');
    controller.abort();
    const { text, end } = await running;
    expect(end.finishReason).toBe('cancelled');
    expect(cycle.repeat(45).startsWith(text)).toBe(true);
    expect(outcomeOf(await beside)).toEqual(
      outcomeOf(await complete(plain, 'beside', { maxTokens: 40 })),
    );
    expect(guessing.stats()).toMatchObject({ runningCount: 0, usedKvTokenCount: 0 });
    await expectSame(cyclePrompt, { ...cycling, maxTokens: 40 });
  });

  test('pauses and resumes as without where the KV cache is small', async () => {
    const tight = await startEngine(loaded.model, {
      contextLength: 256,
      kvTokenCount: 256,
      speculative: ngram,
    });
    try {
      const contents = ['one', 'two', 'three', 'four'].map((word) => `${word} ${cyclePrompt}`);
      const request = { ...cycling, maxTokens: 100 };
      const together = await Promise.all(
        contents.map((content) => complete(tight, content, request)),
      );
      expect(together.map(({ text }) => text)).toEqual(contents.map(() => cycle.repeat(10)));
      const stats = tight.stats();
      expect(stats.preemptedSequenceCount).toBeGreaterThan(0);
      expect(stats.acceptedTokenCount).toBeGreaterThan(0);
      expect(stats.usedKvTokenCount).toBe(0);
    } finally {
      await tight.close();
    }
  });
});

describe('memories of other kinds', () => {
  test.each([
    ['split', { architecture: 'llama' }],
    ['unified', { architecture: 'olmo2', layerCount: 4 }],
  ] as const)('%s, %j: guesses, and the text stays the same', async (kvLayout, shape) => {
    const other = await loadModel(shape);
    const engines = [
      await startEngine(other.model, { kvLayout, ubatchSize: 16 }),
      await startEngine(other.model, { kvLayout, ubatchSize: 16, speculative: ngram }),
    ] as const;
    try {
      // Longer than a window, and back and forth within it.
      const content = cyclePrompt.repeat(4);
      const [expected, text] = await Promise.all(
        engines.map(async (engine) => {
          const contents = [content, `${content}!`, 'short'];
          const request = (index: number) => ({
            ...(index < 2 && cycling),
            maxTokens: 80 + 7 * index,
          });
          const replies = await Promise.all(
            contents.map((each, index) => complete(engine, each, request(index))),
          );
          return replies.map((reply) => reply.text);
        }),
      );
      expect(text).toEqual(expected);
      expect(engines[1].info.speculative).toBe('ngram');
      expect(engines[1].stats().acceptedTokenCount).toBeGreaterThan(0);
    } finally {
      for (const engine of engines) await engine.close();
      await other.dispose();
    }
  });

  test.each([
    ['lfm2', 'unified', /state/],
    ['mamba', 'unified', /state/],
    ['olmo2', 'split', /KV_LAYOUT=unified/],
  ] as const)('%s, %s: does without and says why', async (architecture, kvLayout, reason) => {
    const other = await loadModel({ architecture, layerCount: 4 });
    const engine = await startEngine(other.model, { kvLayout, speculative: ngram });
    try {
      expect(engine.info.speculative).toBeUndefined();
      expect(engine.info.speculativeDisabledReason).toMatch(reason);
      const { text, end } = await complete(engine, cyclePrompt, { ...cycling, maxTokens: 40 });
      expect(text).toBe(cycle.repeat(4));
      expect(end.drafts).toBeUndefined();
      expect(engine.stats().draftCount).toBe(0);
    } finally {
      await engine.close();
      await other.dispose();
    }
  });
});

describe('asking a draft model', () => {
  test('that is the model itself: nearly every guess is right', async () => {
    const engine = await startEngine(loaded.model, { speculative: draftOf(loaded) });
    try {
      for (const content of ['The king', 'A small boat went', 'Once', 'They saw the water']) {
        const expected = outcomeOf(await complete(plain, content, { maxTokens: 100 }));
        expect(outcomeOf(await complete(engine, content, { maxTokens: 100 }))).toEqual(expected);
      }
      const { draftedTokenCount, acceptedTokenCount } = engine.stats();
      expect(draftedTokenCount).toBeGreaterThan(8);
      expect(acceptedTokenCount).toBeGreaterThan(0.9 * draftedTokenCount);
    } finally {
      await engine.close();
    }
  });

  test.each(['unified', 'split'] as const)(
    'that is small and poor, %s: the same texts, alone and together',
    async (kvLayout) => {
      const draft = await loadModel({ layerCount: 1, width: 32, seed: 2 });
      const engine = await startEngine(loaded.model, { kvLayout, speculative: draftOf(draft) });
      try {
        const contents = Array.from({ length: 9 }, (_, index) => `Story ${index}: go on`);
        const request = { maxTokens: 50 };
        const expected: unknown[] = [];
        for (const content of contents) {
          expected.push(outcomeOf(await complete(plain, content, request)));
        }
        for (let round = 0; round < 2; round++) {
          const together = await Promise.all(
            contents.map((content) => complete(engine, content, request)),
          );
          expect(together.map(outcomeOf)).toEqual(expected);
        }
        expect(engine.stats().draftCount).toBeGreaterThan(0);
      } finally {
        await engine.close();
        await draft.dispose();
      }
    },
  );

  test('catches up with a prompt that is longer than a step may take', async () => {
    const engine = await startEngine(loaded.model, {
      speculative: draftOf(loaded),
      stepTargetMs: 1,
    });
    try {
      const content = 'tell me of the river '.repeat(30);
      const request = { maxTokens: 120 };
      const expected = outcomeOf(await complete(plain, content, request));
      expect(outcomeOf(await complete(engine, content, request))).toEqual(expected);
      expect(engine.stats().acceptedTokenCount).toBeGreaterThan(0);
    } finally {
      await engine.close();
    }
  });

  test('survives pauses of the model it guesses for', async () => {
    const engine = await startEngine(loaded.model, {
      contextLength: 256,
      kvTokenCount: 256,
      speculative: draftOf(loaded),
    });
    try {
      const contents = ['one', 'two', 'three', 'four', 'five', 'six'];
      const expected: unknown[] = [];
      const request = { maxTokens: 100 };
      for (const content of contents) {
        expected.push(outcomeOf(await complete(plain, content, request)));
      }
      const together = await Promise.all(
        contents.map((content) => complete(engine, content, request)),
      );
      expect(together.map(outcomeOf)).toEqual(expected);
      expect(engine.stats().preemptedSequenceCount).toBeGreaterThan(0);
    } finally {
      await engine.close();
    }
  });

  test.each([
    [
      'another text of a token',
      { tokens: tinyVocabulary().tokens.with(300, 'unlikely') },
      /token 300/,
    ],
    [
      'far more tokens',
      {
        tokens: [
          ...tinyVocabulary().tokens,
          ...Array.from({ length: 200 }, (_, index) => `filler${index}`),
        ],
      },
      /number of tokens/,
    ],
  ])('refuses a vocabulary with %s', async (_what, changed, reason) => {
    const draft = await loadModel({ vocabulary: { ...tinyVocabulary(), ...changed } });
    try {
      const started = startEngine(loaded.model, { speculative: draftOf(draft) });
      await expect(started).rejects.toThrow(DraftModelError);
      await expect(started).rejects.toThrow(reason);
    } finally {
      await draft.dispose();
    }
  });

  test('refuses a draft model that cannot take a guess back', async () => {
    const draft = await loadModel({ architecture: 'mamba' });
    try {
      await expect(startEngine(loaded.model, { speculative: draftOf(draft) })).rejects.toThrow(
        /recurrent/,
      );
    } finally {
      await draft.dispose();
    }
  });

  test('takes a vocabulary with a few more tokens, which it never guesses', async () => {
    const { tokens } = tinyVocabulary();
    const vocabulary = { ...tinyVocabulary(), tokens: [...tokens, 'spare1', 'spare2'] };
    const draft = await loadModel({ vocabulary });
    const engine = await startEngine(loaded.model, { speculative: draftOf(draft) });
    try {
      const expected = outcomeOf(await complete(plain, 'Once', { maxTokens: 80 }));
      expect(outcomeOf(await complete(engine, 'Once', { maxTokens: 80 }))).toEqual(expected);
    } finally {
      await engine.close();
      await draft.dispose();
    }
  });
});

describe('the bundled model', () => {
  test('says the same with guesses, alone and together', async () => {
    const bundled = await loadModel(bundledModelPath);
    const options = { contextLength: 1024 };
    const engines = [
      await startEngine(bundled.model, options),
      await startEngine(bundled.model, { ...options, speculative: { ...ngram, ngramSize: 2 } }),
      await startEngine(bundled.model, { ...options, speculative: draftOf(bundled) }),
    ] as const;
    try {
      const contents = [
        'Repeat after me: the red house and the red boat and the red house',
        'Count from 1 to 10.',
        'Hello!',
        'Say: one two three one two three one two three one two three',
      ];
      const alone: Record<number, string[]> = {};
      for (const [index, engine] of engines.entries()) {
        const texts: string[] = [];
        for (const content of contents) {
          texts.push((await complete(engine, content, { maxTokens: 64 })).text);
        }
        alone[index] = texts;
      }
      expect(alone[1]).toEqual(alone[0]);
      expect(alone[2]).toEqual(alone[0]);
      const together = await Promise.all(
        contents.map((content) => complete(engines[1], content, { maxTokens: 64 })),
      );
      expect(together.map(({ text }) => text)).toEqual(alone[0]);
    } finally {
      for (const engine of engines) await engine.close();
      await bundled.dispose();
    }
  });
});

describe('closing', () => {
  test.each(['ngram', 'draft'] as const)('amid guesses ends every stream, %s', async (kind) => {
    const engine = await startEngine(loaded.model, {
      speculative: kind === 'ngram' ? ngram : draftOf(loaded),
    });
    const prompt = await engine.generator.prepareChat([{ role: 'user', content: cyclePrompt }]);
    const running = Array.from({ length: 4 }, () =>
      collect(engine.generator.generate({ prompt, maxTokens: 400, ...cycling })),
    );
    await until(() => engine.stats().draftCount > 0, 'guesses');
    await engine.close();
    const ends = await Promise.all(running);
    expect(ends.map(({ end }) => end.finishReason)).toEqual(Array(4).fill('cancelled'));
  });
});
