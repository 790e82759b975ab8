/** Prompts that ask for the text of a gap, beside the form that llama-server gives them. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bundledModelPath } from '../../src/core/package-info.ts';
import type { GeneratingEngine } from '../../src/engine/engine.ts';
import type { InfillPrompt } from '../../src/engine/generator.ts';
import {
  collect,
  type LoadedModel,
  loadModel,
  startEngine,
} from '../../tools/fixtures/start-engine.ts';
import { tinyVocabulary } from '../../tools/fixtures/tiny-vocabulary.ts';

const marks = ['<|fim_prefix|>', '<|fim_suffix|>', '<|fim_middle|>'];
const projectMarks = ['<|repo_name|>', '<|file_sep|>'];

/** A vocabulary with more control tokens, which llama.cpp knows by their texts. */
function vocabularyWith(texts: readonly string[]) {
  const vocabulary = tinyVocabulary();
  const first = vocabulary.tokens.length;
  return {
    ...vocabulary,
    tokens: [...vocabulary.tokens, ...texts],
    controlTokenIds: new Set([
      ...vocabulary.controlTokenIds,
      ...texts.map((_, index) => first + index),
    ]),
  };
}

async function promptOf(engine: GeneratingEngine, prompt: InfillPrompt) {
  const { generator, tokenizer } = engine;
  const prepared = await generator.prepare(prompt);
  const text = (await tokenizer.detokenize(generator.promptTokens(prepared))).toString();
  return { text, cut: prepared.cut === true, tokenCount: prepared.tokenCount };
}

describe('a vocabulary with marks for projects', () => {
  let loaded: LoadedModel;
  let engine: GeneratingEngine;

  beforeAll(async () => {
    loaded = await loadModel({ vocabulary: vocabularyWith([...marks, ...projectMarks]) });
    engine = await startEngine(loaded.model);
  });

  afterAll(async () => {
    await engine.close();
    await loaded.dispose();
  });

  test('gets the other files before the gap, as in repo-level prompts', async () => {
    expect(engine.info.infill).toBe(true);
    const { text, cut } = await promptOf(engine, {
      prefix: 'one ',
      suffix: ' three',
      prompt: 'tw',
      extra: [{ filename: 'a.py', text: 'alpha\n' }, { text: 'beta' }],
    });
    expect(text).toBe(
      '<|repo_name|>myproject\n' +
        '<|file_sep|>a.py\nalpha\n' +
        '<|file_sep|>tmp\nbeta' +
        '<|file_sep|>filename\n' +
        '<|fim_prefix|>one tw<|fim_suffix|> three<|fim_middle|>',
    );
    expect(cut).toBe(false);
  });

  test('gets names without other files, and none where files are not asked for', async () => {
    const gap = { prefix: 'a', suffix: 'b' };
    const plain = '<|fim_prefix|>a<|fim_suffix|>b<|fim_middle|>';
    const named = `<|repo_name|>myproject\n<|file_sep|>filename\n${plain}`;
    expect((await promptOf(engine, { ...gap, extra: [] })).text).toBe(named);
    expect((await promptOf(engine, gap)).text).toBe(plain);
  });

  test('marks in the texts of a client are text, in the typed part they are marks', async () => {
    const before = await promptOf(engine, { prefix: '', suffix: '' });
    const texts = await promptOf(engine, { prefix: '<|fim_middle|>', suffix: '' });
    expect(texts.tokenCount).toBeGreaterThan(before.tokenCount + 1);
    const typed = await promptOf(engine, { prefix: '', suffix: '', prompt: '<|fim_middle|>' });
    expect(typed.tokenCount).toBe(before.tokenCount + 1);
  });

  test('leaves out the first files, then the beginning and the end', async () => {
    const prefix = 'p '.repeat(300);
    const suffix = 's '.repeat(300);
    const extra = [{ text: 'first '.repeat(50) }, { text: 'last' }];
    const all = await promptOf(engine, { prefix, suffix, extra });
    expect(all.cut).toBe(false);

    const less = { prefix, suffix, extra, maxTokenCount: all.tokenCount - 1 };
    const withoutFirst = await promptOf(engine, less);
    expect(withoutFirst.cut).toBe(true);
    expect(withoutFirst.text).not.toContain('first');
    expect(withoutFirst.text).toContain('tmp\nlast<|file_sep|>filename');
    expect(withoutFirst.text).toContain(prefix);

    const small = await promptOf(engine, { prefix, suffix, extra, maxTokenCount: 100 });
    expect([small.cut, small.tokenCount]).toEqual([true, 100]);
    expect(small.text).not.toContain('<|repo_name|>');
    const [, kept = '', after = ''] =
      /^<\|fim_prefix\|>(.*)<\|fim_suffix\|>(.*)<\|fim_middle\|>$/s.exec(small.text) ?? [];
    expect(prefix.endsWith(kept)).toBe(true);
    expect(suffix.startsWith(after)).toBe(true);
    // Three quarters for what stands before the gap.
    expect(kept.length).toBeGreaterThan(2 * after.length);
    expect(after.length).toBeGreaterThan(kept.length / 4);
  });

  test.each([
    ['a', 's '.repeat(300), 'a'],
    ['p '.repeat(300), 'b', 'b'],
  ])('gives the room that one side leaves to the other', async (prefix, suffix, whole) => {
    const { text, tokenCount } = await promptOf(engine, { prefix, suffix, maxTokenCount: 60 });
    expect(tokenCount).toBe(60);
    expect(text).toContain(whole);
  });

  test.each([1, 2, 3, 4, 5])('keeps the marks whatever the room: %i', async (maxTokenCount) => {
    const { text } = await promptOf(engine, {
      ...{ prefix: 'one two', suffix: 'three four', extra: [{ text: 'x' }] },
      maxTokenCount,
    });
    expect(text).toMatch(/^<\|fim_prefix\|>.*<\|fim_suffix\|>.*<\|fim_middle\|>$/s);
  });
});

describe('a vocabulary without marks for projects', () => {
  let loaded: LoadedModel;
  let engine: GeneratingEngine;

  beforeAll(async () => {
    loaded = await loadModel(bundledModelPath);
    engine = await startEngine(loaded.model);
  });

  afterAll(async () => {
    await engine.close();
    await loaded.dispose();
  });

  test('gets the other texts behind separators', async () => {
    const { text } = await promptOf(engine, {
      ...{ prefix: 'a', suffix: 'b' },
      extra: [{ filename: 'x.py', text: 'one' }, { text: 'two' }],
    });
    expect(text).toBe(
      '\n\n--- snippet ---\n\none\n\n--- snippet ---\n\ntwo<|fim_prefix|>a<|fim_suffix|>b<|fim_middle|>',
    );
  });

  test('completes, with the infill sampler too', async () => {
    const prompt = await engine.generator.prepare({ prefix: 'Good ', suffix: '!' });
    const sampling = { samplers: ['top_k', 'infill'], topK: 40, seed: 1n };
    const { end } = await collect(engine.generator.generate({ prompt, maxTokens: 8, sampling }));
    expect(end.usage.completionTokenCount).toBeGreaterThan(0);
  });
});

test('a vocabulary without any marks has no infill', async () => {
  const loaded = await loadModel();
  const engine = await startEngine(loaded.model);
  expect(engine.info.infill).toBe(false);
  await engine.close();
  await loaded.dispose();
});

describe('lines that are indented less', () => {
  test('end a completion', async () => {
    const loaded = await loadModel();
    const engine = await startEngine(loaded.model);
    const grammar = 'root ::= "a\\n    b\\n  c\\n    d"';
    const prompt = await engine.generator.prepare({ text: 'x' });
    const sampling = { temperature: 0, grammar };
    const textWith = async (minIndent: number) => {
      const { text, end } = await collect(
        engine.generator.generate({ prompt, maxTokens: 40, minIndent, sampling }),
      );
      return [text, end.finishReason];
    };
    expect(await textWith(0)).toEqual(['a\n    b\n  c\n    d', 'stop']);
    expect(await textWith(2)).toEqual(['a\n    b\n  c\n    d', 'stop']);
    expect(await textWith(3)).toEqual(['a\n    b\n  ', 'length']);
    await engine.close();
    await loaded.dispose();
  });
});

test('sampling parameters are described as llama-server shows them', async () => {
  const loaded = await loadModel();
  const engine = await startEngine(loaded.model, { samplingDefaults: { topK: 7 } });
  const { describeSampling } = engine.generator;
  const described = describeSampling.call(engine.generator, { temperature: 0.5, seed: 3n });
  // common/common.h of llama.cpp has the defaults.
  expect(described).toMatchObject({
    top_k: 7,
    temperature: 0.5,
    seed: 3,
    repeat_last_n: 64,
    repeat_penalty: 1,
    dry_multiplier: 0,
    dry_sequence_breakers: ['\n', ':', '"', '*'],
    mirostat: 0,
    ignore_eos: false,
    logit_bias: [],
    grammar: '',
  });
  expect(described.samplers).toContain('top_k');
  expect(described.min_p).toBeCloseTo(0.05);
  const biased = describeSampling.call(engine.generator, { logitBias: [[5, -2]] });
  expect(biased).toMatchObject({ logit_bias: [{ token: 5, bias: -2 }], seed: 0xffff_ffff });
  await engine.close();
  await loaded.dispose();
});
