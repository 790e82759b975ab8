import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { GeneratingEngine } from '../../src/engine/engine.ts';
import type { EngineEvent, EngineRequest } from '../../src/engine/generator.ts';
import {
  collect,
  complete,
  type LoadedModel,
  loadModel,
  noStrayBytes,
  startEngine,
} from '../../tools/fixtures/start-engine.ts';
import { tinyVocabulary } from '../../tools/fixtures/tiny-vocabulary.ts';

const ngram = {
  kind: 'ngram',
  minTokens: 1,
  maxTokens: 8,
  ngramSize: 3,
  minProbability: 0,
} as const;

// A random model whose tokens are bytes, among others: any token may follow any other.
let loaded: LoadedModel;
let engine: GeneratingEngine;
/** The same with speculative decoding. */
let drafting: GeneratingEngine;

beforeAll(async () => {
  loaded = await loadModel();
  engine = await startEngine(loaded.model, { slotCount: 4, contextLength: 1024 });
  drafting = await startEngine(loaded.model, {
    contextLength: 1024,
    speculative: ngram,
  });
});

afterAll(async () => {
  await Promise.all([engine.close(), drafting.close()]);
  await loaded.dispose();
});

const endToken = tinyVocabulary().eotTokenId;

const sampled = { ...noStrayBytes, seed: 7n, ignoreEos: true } as const;

async function run(request: Omit<EngineRequest, 'prompt'>, on = engine) {
  const prompt = await on.generator.prepare({ text: 'Once upon a time' });
  const ids: number[] = [];
  const events: EngineEvent[] = [];
  for await (const event of on.generator.generate({ reportTokens: true, ...request, prompt })) {
    events.push(event);
    if ('ids' in event) ids.push(...(event.ids ?? []));
  }
  const end = events.at(-1);
  if (end?.type !== 'sequence-end') throw new Error('the last event is the end');
  const text = events.map((event) => (event.type === 'text-delta' ? event.text : '')).join('');
  return { text, ids, end, events };
}

/** A completion without rules, and what its tokens are. */
async function free(maxTokens = 24) {
  const { text, ids, end } = await run({ maxTokens, sampling: sampled });
  expect(ids).toHaveLength(maxTokens);
  expect(end.usage.completionTokenCount).toBe(maxTokens);
  return { text, ids };
}

const textOf = async (ids: readonly number[]) =>
  (await engine.tokenizer.detokenize([...ids])).toString();

/** The first token of a completion that is none of its first `count` tokens. */
function laterToken(ids: readonly number[], count: number): number {
  const index = ids.findIndex((id, at) => at >= count && !ids.slice(0, at).includes(id));
  expect(index).toBeGreaterThan(0);
  return index;
}

describe('ids of tokens', () => {
  test('are those of the text, the end token included', async () => {
    const { ids, text } = await free();
    expect(await textOf(ids)).toBe(text);
    const { ids: ended, end } = await run({
      maxTokens: 400,
      sampling: {
        ...noStrayBytes,
        seed: 3n,
        logitBias: [...(noStrayBytes.logitBias ?? []), [endToken, 8]],
      },
    });
    expect(ended).toHaveLength(end.usage.completionTokenCount);
  });

  test('are left out unless they are asked for', async () => {
    const { events } = await run({ maxTokens: 8, sampling: sampled, reportTokens: false });
    for (const event of events) expect(event).not.toHaveProperty('ids');
  });
});

describe('stop tokens', () => {
  test('end the completion before their text', async () => {
    const { ids } = await free();
    const at = laterToken(ids, 4);
    const stop = ids[at] as number;
    const cut = await run({ maxTokens: 24, sampling: sampled, tokenRules: { stopTokens: [stop] } });
    expect(cut.end).toMatchObject({ finishReason: 'stop', stopToken: stop });
    expect(cut.end.usage.completionTokenCount).toBe(at + 1);
    expect(cut.ids).toEqual(ids.slice(0, at + 1));
    expect(cut.text).toBe(await textOf(ids.slice(0, at)));
  });

  test('are part of the text on request', async () => {
    const { ids } = await free();
    const at = laterToken(ids, 4);
    const { text, end } = await run({
      maxTokens: 24,
      sampling: sampled,
      showStops: true,
      tokenRules: { stopTokens: [ids[at] as number] },
    });
    expect(end.finishReason).toBe('stop');
    expect(text).toBe(await textOf(ids.slice(0, at + 1)));
  });
});

describe('a minimum of tokens', () => {
  test('keeps stop tokens away until it is reached', async () => {
    const { ids } = await free(12);
    const rules = { stopTokens: ids.slice(0, 4), minTokens: 9 };
    const { ids: generated, end } = await run({
      maxTokens: 200,
      sampling: sampled,
      tokenRules: rules,
    });
    const first = generated.findIndex((id) => rules.stopTokens.includes(id));
    expect(first === -1 ? end.usage.completionTokenCount : first).toBeGreaterThanOrEqual(9);
  });

  test('keeps end tokens of the model away', async () => {
    // The end token would follow at once.
    const eager = { temperature: 1, seed: 5n, logitBias: [[endToken, 100]] } as const;
    const atOnce = await run({ maxTokens: 40, sampling: eager });
    expect(atOnce.end).toMatchObject({ finishReason: 'stop', usage: { completionTokenCount: 1 } });
    const { end } = await run({ maxTokens: 40, sampling: eager, tokenRules: { minTokens: 6 } });
    expect(end).toMatchObject({ finishReason: 'stop', usage: { completionTokenCount: 7 } });
    const greedy = await run({
      maxTokens: 40,
      sampling: { temperature: 0, logitBias: [[endToken, 100]] },
      tokenRules: { minTokens: 6 },
    });
    expect(greedy.end.usage.completionTokenCount).toBe(7);
  });

  test('lets stop texts be text until it is reached', async () => {
    const { ids, text } = await free();
    const stop = await textOf(ids.slice(2, 4));
    const early = await run({ maxTokens: 24, sampling: sampled, stop: [stop] });
    expect(early.end).toMatchObject({ finishReason: 'stop', stopText: stop });
    const late = await run({
      maxTokens: 24,
      sampling: sampled,
      stop: [stop],
      tokenRules: { minTokens: 24 },
    });
    expect(late.end.finishReason).toBe('length');
    expect(late.text).toBe(text);
  });

  test('gives way to a grammar that is complete', async () => {
    const { text, end } = await run({
      maxTokens: 40,
      sampling: { ...noStrayBytes, seed: 1n, grammar: 'root ::= "ab"' },
      tokenRules: { minTokens: 30 },
    });
    expect(text).toBe('ab');
    expect(end.finishReason).toBe('stop');
  });

  test('fills what a grammar leaves open', async () => {
    const { end } = await run({
      maxTokens: 40,
      sampling: { temperature: 1, seed: 1n, grammar: 'root ::= [a-z]+' },
      tokenRules: { minTokens: 12 },
    });
    expect(end.usage.completionTokenCount).toBeGreaterThanOrEqual(12);
  });
});

describe('allowed tokens', () => {
  test.each([
    ['greedily', { temperature: 0 }],
    ['from the likeliest', { temperature: 1, topK: 40, seed: 3n }],
    ['from all', { temperature: 1, topK: 0, seed: 3n }],
    ['typically', { temperature: 1, topK: 0, typicalP: 0.5, seed: 3n }],
    ['with mirostat', { temperature: 1, mirostat: 1, seed: 3n }],
    ['with penalties', { temperature: 1, frequencyPenalty: 1, seed: 3n }],
  ] as const)('are the only ones, chosen %s', async (_, sampling) => {
    const allowed = (await engine.generator.tokenizeWords(['abc'])).flat();
    const { ids, end } = await run({
      maxTokens: 20,
      sampling,
      tokenRules: { allowedTokens: allowed },
    });
    expect(end.finishReason).toBe('length');
    expect(ids).toHaveLength(20);
    for (const id of ids) expect(allowed).toContain(id);
  });

  test('fail one sequence alone when a grammar leaves none of them', async () => {
    const prompt = await engine.generator.prepare({ text: 'Once' });
    const [allowed] = await engine.generator.tokenizeWords(['a']);
    const sampling = { temperature: 0, grammar: 'root ::= "b"' };
    const failing = collect(
      engine.generator.generate({
        prompt,
        sampling,
        tokenRules: { allowedTokens: allowed ?? [] },
      }),
    );
    await expect(failing).rejects.toMatchObject({
      code: 'bad_request',
      message: expect.stringContaining('exclude every token that may follow'),
    });
    expect((await complete(engine, 'and the next', { maxTokens: 3 })).end.finishReason).toBe(
      'length',
    );
  });
});

describe('bad words', () => {
  test('are never completed, whether of one token or of several', async () => {
    const { ids } = await free(40);
    const badWords = [[ids[3] as number], ids.slice(5, 8), ids.slice(10, 12)];
    const { ids: generated } = await run({
      maxTokens: 40,
      sampling: sampled,
      tokenRules: { badWords },
    });
    expect(generated.slice(0, 3)).toEqual(ids.slice(0, 3));
    expect(generated).not.toEqual(ids);
    for (const word of badWords) {
      for (let at = 0; at + word.length <= generated.length; at++) {
        expect(generated.slice(at, at + word.length)).not.toEqual(word);
      }
    }
  });
});

describe('with drafts, in a batch of others', () => {
  // Three tokens are far likelier than all others, so that the text repeats itself and drafts are accepted.
  const favourites = [65, 66, 67];
  const repeating = {
    temperature: 0,
    ignoreEos: true,
    logitBias: favourites.map((id) => [id, 100] as const),
  };
  let acceptedCount = 0;

  test.each([
    ['stop tokens', { badWords: [[65], [66, 66, 66]], stopTokens: [67] }],
    [
      'a minimum',
      {
        badWords: [
          [66, 66],
          [65, 65],
        ],
        stopTokens: [67],
        minTokens: 30,
      },
    ],
    [
      'bad words',
      {
        badWords: [
          [65, 65, 65],
          [66, 66],
          [67, 67, 67],
          [65, 66, 65],
        ],
      },
    ],
    ['allowed tokens', { allowedTokens: [66, 70, 71], badWords: [[66, 66, 66]] }],
  ] as const)('%s give the same tokens', async (_, tokenRules) => {
    const request = { maxTokens: 90, sampling: repeating, tokenRules };
    const alone = await run(request);
    const others = await run({ maxTokens: 90, sampling: repeating });
    const [drafted, beside] = await Promise.all([
      run(request, drafting),
      run({ maxTokens: 90, sampling: repeating }, drafting),
    ]);
    expect(drafted.ids).toEqual(alone.ids);
    expect(drafted.text).toBe(alone.text);
    expect(drafted.end.finishReason).toBe(alone.end.finishReason);
    expect(beside.ids).toEqual(others.ids);
    acceptedCount += drafted.end.drafts?.acceptedTokenCount ?? 0;
  });

  test('drafts were accepted under these rules', () => {
    expect(acceptedCount).toBeGreaterThan(0);
  });
});

describe('the end', () => {
  test('shows the stop text on request', async () => {
    const { ids } = await free();
    const stop = await textOf(ids.slice(5, 7));
    const cut = await run({ maxTokens: 24, sampling: sampled, stop: [stop] });
    const shown = await run({ maxTokens: 24, sampling: sampled, stop: [stop], showStops: true });
    expect(shown.text).toBe(cut.text + stop);
  });

  test('shows the text of control tokens on request', async () => {
    const control = { temperature: 0, logitBias: [[endToken, 100]], ignoreEos: false } as const;
    const { text } = await run({
      maxTokens: 4,
      sampling: control,
      showStops: true,
      showControl: true,
    });
    expect(text).toBe(await textOf([endToken]));
    expect(text).not.toBe('');
    expect((await run({ maxTokens: 4, sampling: control, showControl: true })).text).toBe('');
  });

  test('comes with the first line break after the time is over', async () => {
    const grammar = 'root ::= ([a-z]{20} "\\n")*';
    const { text, end } = await run({
      maxTokens: 900,
      maxDecodeMs: 1,
      sampling: { temperature: 1, seed: 2n, grammar },
      tokenRules: { minTokens: 900 },
    });
    expect(end.finishReason).toBe('length');
    expect(end.usage.completionTokenCount).toBeLessThan(900);
    expect(text.endsWith('\n')).toBe(true);
  });
});

describe('the progress of a prompt', () => {
  test('counts up to the whole prompt before any text', async () => {
    const text = Array.from({ length: 150 }, (_, index) => `word${index} `).join('');
    // Its own engine: prefixes of other prompts would take the place of this one.
    const fresh = await startEngine(loaded.model, { contextLength: 1024 });
    onTestFinished(() => fresh.close());
    const prompt = await fresh.generator.prepare({ text });
    const follow = async () => {
      const events: EngineEvent[] = [];
      const request = { prompt, maxTokens: 3, sampling: sampled, reportProgress: true };
      for await (const event of fresh.generator.generate(request)) events.push(event);
      const first = events.findIndex(({ type }) => type !== 'prompt-progress');
      expect(events.slice(first).every(({ type }) => type !== 'prompt-progress')).toBe(true);
      return events.filter((event) => event.type === 'prompt-progress');
    };
    const cold = await follow();
    expect(cold.length).toBeGreaterThanOrEqual(2);
    expect(cold[0]).toMatchObject({ cachedTokenCount: 0, processedTokenCount: 0 });
    expect(cold.at(-1)).toMatchObject({
      promptTokenCount: prompt.tokenCount,
      processedTokenCount: prompt.tokenCount,
    });
    const counts = cold.map(({ processedTokenCount }) => processedTokenCount);
    expect(counts).toEqual([...counts].sort((one, other) => one - other));
    const warm = await follow();
    expect(warm[0]?.cachedTokenCount).toBeGreaterThan(prompt.tokenCount / 2);
    expect(warm[0]?.processedTokenCount).toBe(warm[0]?.cachedTokenCount);
    expect(warm.at(-1)?.processedTokenCount).toBe(prompt.tokenCount);
  });
});

test('the tokens of a prompt are those of its text', async () => {
  const prompt = await engine.generator.prepare({ text: 'Once upon' });
  const tokens = engine.generator.promptTokens(prompt);
  expect(tokens).toHaveLength(prompt.tokenCount);
  expect(await textOf(tokens)).toContain('Once upon');
});
