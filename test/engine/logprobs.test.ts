import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { GeneratingEngine } from '../../src/engine/engine.ts';
import type { EngineEvent, EngineRequest, PlainPrompt } from '../../src/engine/generator.ts';
import type { TokenLogprob } from '../../src/engine/logprobs.ts';
import { type LoadedModel, loadModel, startEngine } from '../../tools/fixtures/start-engine.ts';

// A random model with a small vocabulary, so that whole rows can be asked for.
let loaded: LoadedModel;
let engine: GeneratingEngine;
const chatTemplate = readFileSync(
  new URL('../../tools/train/template.jinja', import.meta.url),
  'utf8',
);

beforeAll(async () => {
  loaded = await loadModel();
  engine = await startEngine(loaded.model, { chatTemplate, contextLength: 1024 });
});

afterAll(async () => {
  await engine.close();
  await loaded.dispose();
});

interface Scored {
  readonly text: string;
  readonly promptTokens: readonly TokenLogprob[];
  /** Those of the completion. */
  readonly tokens: readonly TokenLogprob[];
  readonly end: Extract<EngineEvent, { type: 'sequence-end' }>;
}

async function generate(
  plain: PlainPrompt,
  request: Omit<EngineRequest, 'prompt'> = {},
  on = engine,
): Promise<Scored> {
  const prompt = await on.generator.prepare(plain);
  let text = '';
  const promptTokens: TokenLogprob[] = [];
  const tokens: TokenLogprob[] = [];
  const options = { sampling: { temperature: 0, ignoreEos: true }, maxTokens: 16, ...request };
  for await (const event of on.generator.generate({ ...options, prompt })) {
    if (event.type === 'prompt-delta') {
      expect(text).toBe('');
      promptTokens.push(...event.tokens);
      continue;
    }
    if (event.type === 'prompt-progress') continue;
    tokens.push(...(event.tokens ?? []));
    if (event.type === 'text-delta') text += event.text;
    if (event.type === 'sequence-end') return { text, promptTokens, tokens, end: event };
  }
  throw new Error('the stream ended without sequence-end');
}

const completionOnly = { topCount: 3, prompt: false } as const;
const withPrompt = { topCount: 3, prompt: true } as const;
const words = (count: number) => Array.from({ length: count }, (_, i) => `word${i % 7} `).join('');

function logprobsOf(tokens: readonly TokenLogprob[]): (number | undefined)[] {
  return tokens.map(({ logprob }) => logprob);
}

function expectClose(some: readonly TokenLogprob[], others: readonly TokenLogprob[]): void {
  expect(some.map(({ bytes }) => bytes)).toEqual(others.map(({ bytes }) => bytes));
  for (const [index, { logprob }] of some.entries()) {
    expect(logprob).toBeCloseTo(others[index]?.logprob ?? Number.NaN, 3);
  }
}

/** The id of every token by its bytes, which no two share here. */
async function idsByBytes(): Promise<ReadonlyMap<string, number>> {
  const ids = new Map<string, number>();
  for (let id = 0; id < engine.info.vocabularySize; id++) {
    ids.set((await engine.tokenizer.detokenize([id])).toString('latin1'), id);
  }
  expect(ids.size).toBe(engine.info.vocabularySize);
  return ids;
}

describe('log probabilities', () => {
  test('are those that node-llama-cpp’s own loop computes', async () => {
    const text = 'The quick brown fox';
    const { tokens } = await generate({ text }, { logprobs: completionOnly, maxTokens: 8 });
    const context = await loaded.model.createContext({ contextSize: 512, threads: 1 });
    try {
      const steps = context.getSequence().evaluateWithMetadata(
        loaded.model.tokenize(text),
        { probabilities: true },
        {
          temperature: 0,
        },
      );
      let index = 0;
      for await (const { token, probabilities } of steps) {
        const bytes = await engine.tokenizer.detokenize([token]);
        expect(tokens[index]?.bytes).toEqual(bytes);
        const likeliest = [...probabilities.values()].sort((a, b) => b - a).slice(0, 3);
        const logprobs = tokens[index]?.top.map(({ logprob }) => logprob) ?? [];
        for (const [place, probability] of likeliest.entries()) {
          // Its cache is in F16, ours here in F32.
          expect(logprobs[place]).toBeCloseTo(Math.log(probability), 1);
        }
        index += 1;
        if (index === tokens.length) break;
      }
      expect(index).toBe(8);
    } finally {
      await context.dispose();
    }
  });

  test('of the whole vocabulary add up to 1, the likeliest first', async () => {
    const topCount = engine.info.vocabularySize;
    const { tokens } = await generate(
      { text: 'Once upon' },
      { logprobs: { topCount, prompt: false } },
    );
    expect(tokens).toHaveLength(16);
    for (const { bytes, logprob, top } of tokens) {
      const logprobs = top.map((each) => each.logprob);
      expect(logprobs).toHaveLength(topCount);
      expect(logprobs).toEqual([...logprobs].sort((a, b) => b - a));
      expect(logprobs.reduce((sum, each) => sum + Math.exp(each), 0)).toBeCloseTo(1, 4);
      expect(top.find((each) => each.bytes.equals(bytes))?.logprob).toBe(logprob);
    }
  });

  test('are those of the raw logits, whatever was sampled from', async () => {
    const plain = { text: 'Once upon' };
    const [greedy] = (await generate(plain, { logprobs: completionOnly })).tokens;
    const sampling = { temperature: 1.5, topK: 1, logitBias: [[300, 50] as const] };
    const [biased] = (await generate(plain, { logprobs: completionOnly, sampling })).tokens;
    expect(biased?.bytes).toEqual(await engine.tokenizer.detokenize([300]));
    expect(biased?.top.map(({ bytes }) => bytes)).toEqual(greedy?.top.map(({ bytes }) => bytes));
    expect(biased?.logprob).toBeLessThan(biased?.top[2]?.logprob ?? 0);
  });

  test('change neither the text nor those beside it', async () => {
    const prompts = ['One ', 'Two words ', 'Three more words '].map((text) => ({ text }));
    const plain = await Promise.all(prompts.map((prompt) => generate(prompt)));
    const alone: Scored[] = [];
    for (const prompt of prompts) alone.push(await generate(prompt, { logprobs: completionOnly }));
    const together = await Promise.all(
      prompts.map((prompt, index) => generate(prompt, index === 1 ? {} : { logprobs: withPrompt })),
    );
    for (const [index, { text, tokens, end }] of alone.entries()) {
      expect(text).toBe(plain[index]?.text);
      expect(together[index]?.text).toBe(text);
      if (index !== 1) expectClose(together[index]?.tokens ?? [], tokens);
      expect(end.totalLogprob).toBeCloseTo(
        logprobsOf(tokens).reduce<number>((sum, each) => sum + (each ?? 0), 0),
        3,
      );
    }
    expect(together[1]?.tokens).toEqual([]);
    expect(together[1]?.end.totalLogprob).toBeUndefined();
  });

  test('say where in the text each token begins', async () => {
    const sampling = { temperature: 2, seed: 5n, ignoreEos: true };
    const { text, tokens } = await generate(
      { text: 'é' },
      { logprobs: completionOnly, sampling, maxTokens: 64 },
    );
    const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
    let count = 0;
    for (const { bytes, firstCharacter } of tokens) {
      expect(firstCharacter).toBe(count);
      count += [...decoder.decode(bytes, { stream: true })].length;
    }
    expect(tokens).toHaveLength(64);
    expect(Buffer.concat(tokens.map(({ bytes }) => bytes)).toString()).toBe(text);
  });

  test('of tokens that a stop string takes away are not told', async () => {
    const free = await generate({ text: 'Once' }, { logprobs: completionOnly });
    const stop = free.text.slice(-6, -3);
    const cut = await generate({ text: 'Once' }, { logprobs: completionOnly, stop: [stop] });
    expect(cut.end.finishReason).toBe('stop');
    expect(cut.tokens.length).toBeLessThan(cut.end.usage.completionTokenCount);
    // The second request finds its prompt cached; a prompt computed in another shape rounds differently.
    const before = free.tokens.slice(0, cut.tokens.length);
    expectClose(cut.tokens, before);
    expect(cut.tokens.map(({ firstCharacter }) => firstCharacter)).toEqual(
      before.map(({ firstCharacter }) => firstCharacter),
    );
    const length = [...cut.text].length;
    for (const { firstCharacter } of cut.tokens) expect(firstCharacter).toBeLessThan(length);
    expect(free.tokens[cut.tokens.length]?.firstCharacter).toBeGreaterThanOrEqual(length);
  });
});

describe('log probabilities of a prompt', () => {
  test('are those the same tokens had when they were generated', async () => {
    const text = words(120);
    const generated = await generate({ text }, { logprobs: completionOnly, maxTokens: 40 });
    const ids = await idsByBytes();
    const prompt = await engine.tokenizer.tokenize(text, { addSpecial: true, parseSpecial: true });
    const completion = generated.tokens.map(({ bytes }) => ids.get(bytes.toString('latin1')) ?? -1);
    const tokens = [...prompt, ...completion];
    // Longer than the rows of logits that one step keeps.
    expect(tokens.length).toBeGreaterThan(200);
    const scored = await generate({ tokens }, { logprobs: withPrompt, maxTokens: 1 });
    expect(scored.promptTokens).toHaveLength(tokens.length);
    expect(scored.promptTokens[0]).toMatchObject({ logprob: undefined, top: [] });
    expectClose(scored.promptTokens.slice(prompt.length), generated.tokens);
    for (const [index, { top }] of scored.promptTokens.slice(prompt.length).entries()) {
      expect(top.map(({ bytes }) => bytes)).toEqual(
        generated.tokens[index]?.top.map(({ bytes }) => bytes),
      );
    }
  });

  test('are computed although the prompt is cached, and leave it there for others', async () => {
    const text = `again ${words(40)}`;
    const first = await generate({ text }, { logprobs: withPrompt });
    const second = await generate({ text }, { logprobs: withPrompt });
    const third = await generate({ text });
    expect(second.end.usage.cachedTokenCount).toBe(0);
    expectClose(second.promptTokens.slice(1), first.promptTokens.slice(1));
    expect(third.end.usage.cachedTokenCount).toBe(third.end.usage.promptTokenCount - 1);
    expect(second.text).toBe(first.text);
    expect(third.text).toBe(first.text);
  });

  test('are had without a completion', async () => {
    const { text, promptTokens, tokens, end } = await generate(
      { text: words(5) },
      { logprobs: withPrompt, maxTokens: 0 },
    );
    expect([text, tokens]).toEqual(['', []]);
    expect(end).toMatchObject({ finishReason: 'length', totalLogprob: 0 });
    expect(end.usage.completionTokenCount).toBe(0);
    expect(promptTokens).toHaveLength(end.usage.promptTokenCount);
  });

  test('of a single token are none', async () => {
    const { promptTokens, tokens } = await generate({ tokens: [5] }, { logprobs: withPrompt });
    expect(logprobsOf(promptTokens)).toEqual([undefined]);
    expect(tokens).toHaveLength(16);
  });

  test('come once each when sequences give way to each other', async () => {
    const small = await startEngine(loaded.model, { slotCount: 3, kvTokenCount: 512 });
    try {
      const prompts = [0, 1, 2].map((index) => ({ text: `${index} ${words(50)}` }));
      const alone: Scored[] = [];
      for (const prompt of prompts) {
        alone.push(await generate(prompt, { logprobs: withPrompt, maxTokens: 120 }, small));
      }
      const together = await Promise.all(
        prompts.map((prompt) => generate(prompt, { logprobs: withPrompt, maxTokens: 120 }, small)),
      );
      expect(small.stats().preemptedSequenceCount).toBeGreaterThan(0);
      for (const [index, { promptTokens, text }] of together.entries()) {
        expect(text).toBe(alone[index]?.text);
        expectClose(promptTokens.slice(1), alone[index]?.promptTokens.slice(1) ?? []);
      }
    } finally {
      await small.close();
    }
  });
});

test('a structured reply tells every token it was made of, marks included', async () => {
  const tool = {
    name: 'get_time',
    description: 'The time',
    parameters: {
      type: 'object',
      properties: { zone: { enum: ['here', 'there'] } },
      required: ['zone'],
    },
  };
  const prompt = await engine.generator.prepareChat(
    [{ role: 'user', content: 'What time is it?' }],
    {
      tools: [tool],
      toolChoice: 'required',
      parallelToolCalls: false,
    },
  );
  expect(prompt.structured).toBe(true);
  // A random model may write white space for ever; one of these seeds does not.
  let finishReason: string | undefined;
  for (let seed = 0n; finishReason !== 'tool-calls'; seed++) {
    expect(seed).toBeLessThan(12n);
    const tokens: TokenLogprob[] = [];
    let scoredDeltaCount = 0;
    const sampling = { temperature: 1.5, seed };
    const request = { prompt, sampling, logprobs: completionOnly, maxTokens: 400 };
    for await (const event of engine.generator.generate(request)) {
      if (event.type === 'prompt-delta' || event.type === 'prompt-progress') {
        throw new Error('nothing of the prompt was asked for');
      }
      tokens.push(...(event.tokens ?? []));
      if (event.type === 'sequence-end') finishReason = event.finishReason;
      else if (event.tokens !== undefined) scoredDeltaCount += 1;
    }
    const raw = Buffer.concat(tokens.map(({ bytes }) => bytes)).toString();
    expect(raw).toContain('<tool_call>');
    expect(scoredDeltaCount).toBeGreaterThan(1);
    if (finishReason !== 'tool-calls') continue;
    expect(raw).toContain('"get_time"');
    expect(raw).toMatch(/"zone"\s*:\s*"(here|there)"/);
  }
});
