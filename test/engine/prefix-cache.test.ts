import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ChatMessage } from '../../src/engine/chat.ts';
import type { GeneratingEngine } from '../../src/engine/engine.ts';
import {
  collect,
  complete,
  type LoadedModel,
  loadModel,
  startEngine,
  until,
} from '../../tools/fixtures/start-engine.ts';
import type { ModelShape } from '../../tools/fixtures/tiny-model.ts';
import { sampled } from '../support/long.ts';

const shapes: [string, Partial<ModelShape>][] = [
  ['llama', {}],
  ['qwen2', { architecture: 'qwen2' }],
  ['olmo2 (sliding window)', { architecture: 'olmo2', layerCount: 4 }],
  ['gemma3 (sliding window)', { architecture: 'gemma3', layerCount: 4 }],
  ['granitemoe (experts)', { architecture: 'granitemoe' }],
  ['lfm2 (hybrid)', { architecture: 'lfm2', layerCount: 4 }],
  ['mamba (recurrent)', { architecture: 'mamba', layerCount: 4 }],
];

const words = (count: number, seed: number) =>
  Array.from({ length: count }, (_, index) =>
    ['the', 'water', 'mountain', 'over', 'people', 'long', 'day'].at((index * seed) % 7),
  ).join(' ');

const system = (content: string): ChatMessage => ({ role: 'system', content });
const user = (content: string): ChatMessage => ({ role: 'user', content });
const assistant = (content: string): ChatMessage => ({ role: 'assistant', content });

const rendered = (messages: readonly ChatMessage[]) =>
  `${messages.map(({ role, content }) => `<|im_start|>${role}\n${content}<|im_end|>\n`).join('')}<|im_start|>assistant\n`;

let scopeCount = 0;

/** The same request where nothing is shared. */
function completeCold(
  engine: GeneratingEngine,
  messages: readonly ChatMessage[],
  maxTokens: number,
) {
  scopeCount += 1;
  return complete(engine, messages, { maxTokens, cacheScope: `cold ${scopeCount}` });
}

describe.each(shapes)('%s', (name, shape) => {
  const recurrent = /mamba|lfm2/.test(name);
  let loaded: LoadedModel;

  beforeAll(async () => {
    loaded = await loadModel(shape);
  });
  afterAll(() => loaded.dispose());

  test.each(['unified', 'split'] as const)(
    'a conversation gets the same text warm and cold, %s',
    async (kvLayout) => {
      const engine = await startEngine(loaded.model, { contextLength: 1024, kvLayout });
      try {
        const messages: ChatMessage[] = [system(words(60, 3))];
        for (let turn = 0; turn < 5; turn++) {
          messages.push(user(`${words(12, turn + 1)} ${turn}`));
          const cold = await completeCold(engine, messages, 16);
          const warm = await complete(engine, messages, { maxTokens: 16, cacheScope: kvLayout });
          expect(warm.text).toBe(cold.text);
          expect(cold.end.usage.cachedTokenCount).toBe(0);
          if (turn > 0 && (kvLayout === 'unified' || !recurrent)) {
            expect(warm.end.usage.cachedTokenCount).toBeGreaterThan(60);
          }
          messages.push(assistant(warm.text));
        }
      } finally {
        await engine.close();
      }
    },
  );

  test.each(['unified', 'split'] as const)(
    'requests that arrive together get the text each gets alone, %s',
    async (kvLayout) => {
      const engine = await startEngine(loaded.model, { contextLength: 1024, kvLayout });
      try {
        const chats = [0, 1, 2, 3].map((index) => [system(words(150, 5)), user(`number ${index}`)]);
        const alone: string[] = [];
        for (const chat of chats) alone.push((await completeCold(engine, chat, 20)).text);
        const prompts = await Promise.all(chats.map((chat) => engine.generator.prepareChat(chat)));
        const promptTokenCount = prompts.reduce((sum, { tokenCount }) => sum + tokenCount, 0);
        const request = { maxTokens: 20, sampling: { temperature: 0 } };
        // A process that loses its processor between two requests shares less, hence more than one round.
        let computed = promptTokenCount;
        for (let round = 0; round < 20 && computed >= promptTokenCount / 2; round++) {
          const before = engine.stats().prefilledTokenCount;
          const together = await Promise.all(
            prompts.map((prompt) =>
              collect(
                engine.generator.generate({ prompt, cacheScope: `round ${round}`, ...request }),
              ),
            ),
          );
          expect(together.map(({ text }) => text)).toEqual(alone);
          const cachedTokenCount = together.reduce(
            (sum, { end }) => sum + end.usage.cachedTokenCount,
            0,
          );
          computed = engine.stats().prefilledTokenCount - before;
          expect(computed).toBe(promptTokenCount - cachedTokenCount);
        }
        expect(computed).toBeLessThan(promptTokenCount / 2);
      } finally {
        await engine.close();
      }
    },
  );
});

describe('prompt tokens that are computed', () => {
  let loaded: LoadedModel;
  let engine: GeneratingEngine;

  beforeAll(async () => {
    loaded = await loadModel();
    engine = await startEngine(loaded.model, { slotCount: 16, contextLength: 2048 });
  });
  afterAll(async () => {
    await engine.close();
    await loaded.dispose();
  });

  const tokensOf = (messages: readonly ChatMessage[]) =>
    loaded.model.tokenize(rendered(messages), true);

  function commonPrefix(one: readonly number[], other: readonly number[]): number {
    const end = one.findIndex((token, index) => token !== other[index]);
    return end < 0 ? one.length : end;
  }

  test('16 chats over one system prompt of 800 words, at once and cold', async () => {
    const chats = Array.from({ length: 16 }, (_, index) => [
      system(words(800, 3)),
      user(`question ${index} about ${words(1 + (index % 5), index + 1)}`),
    ]);
    const tokens = chats.map(tokensOf);
    const prefix = Math.min(
      ...tokens.flatMap((one, index) => tokens.slice(0, index).map((t) => commonPrefix(one, t))),
    );
    const before = engine.stats();
    const answers = await Promise.all(
      chats.map((messages) => complete(engine, messages, { maxTokens: 8 })),
    );
    const computed = engine.stats().prefilledTokenCount - before.prefilledTokenCount;
    const suffixes = tokens.reduce((sum, one) => sum + one.length - prefix + 1, 0);
    expect(prefix).toBeGreaterThan(800);
    expect(computed).toBeLessThanOrEqual(prefix + suffixes);
    const uncached = answers.reduce(
      (sum, { end }) => sum + end.usage.promptTokenCount - end.usage.cachedTokenCount,
      0,
    );
    expect(computed).toBe(uncached);
  });

  test('several choices of one prompt share its prefill', async () => {
    const prompt = await engine.generator.prepareChat([user(words(400, 2))]);
    const before = engine.stats();
    await Promise.all(
      Array.from({ length: 8 }, () => collect(engine.generator.generate({ prompt, maxTokens: 4 }))),
    );
    const computed = engine.stats().prefilledTokenCount - before.prefilledTokenCount;
    expect(computed).toBeLessThanOrEqual(prompt.tokenCount + 8);
  });

  test('the tenth turn of a conversation computes what is new', async () => {
    const messages: ChatMessage[] = [system(words(50, 2))];
    let last: readonly number[] = [];
    for (let turn = 1; turn <= 10; turn++) {
      messages.push(user(`turn ${turn}`));
      const tokens = tokensOf(messages);
      const { text, end } = await complete(engine, messages, { maxTokens: 12 });
      const computed = end.usage.promptTokenCount - end.usage.cachedTokenCount;
      expect(end.usage.promptTokenCount).toBe(tokens.length);
      if (turn > 1) {
        expect(computed).toBeLessThanOrEqual(tokens.length - commonPrefix(tokens, last) + 2);
      }
      last = tokens;
      messages.push(assistant(text));
    }
  });

  test('a prompt goes on from a running sequence, and from one that was cancelled', async () => {
    const messages = [system(words(100, 4)), user('write on and on')];
    const abort = new AbortController();
    const running = complete(engine, messages, { maxTokens: 1500 }, abort.signal);
    const runningBefore = engine.stats().sampledTokenCount;
    await until(() => engine.stats().sampledTokenCount > runningBefore, 'it samples');
    const beside = await complete(engine, messages, { maxTokens: 4 });
    const { promptTokenCount } = beside.end.usage;
    expect(beside.end.usage.cachedTokenCount).toBe(promptTokenCount - 1);
    abort.abort();
    await running;
    const after = await complete(engine, [...messages, assistant('x'), user('y')], {
      maxTokens: 4,
    });
    expect(after.end.usage.cachedTokenCount).toBeGreaterThanOrEqual(promptTokenCount - 1);
  });

  test('scopes share nothing', async () => {
    const messages = [system(words(120, 6)), user('whose is it?')];
    const cachedIn = async (cacheScope?: string) => {
      const scope = cacheScope === undefined ? {} : { cacheScope };
      const { end } = await complete(engine, messages, { maxTokens: 4, ...scope });
      return end.usage.cachedTokenCount;
    };
    expect(await cachedIn('alice')).toBe(0);
    expect(await cachedIn('bob')).toBe(0);
    expect(await cachedIn()).toBeLessThan(20);
    expect(await cachedIn('alice')).toBeGreaterThan(100);
    expect(await cachedIn()).toBeGreaterThan(100);
  });
});

describe('less cache than four requests need', () => {
  test.each(sampled(shapes, 3))(
    '%s: nobody fails, somebody waits, and all get the text they get alone',
    async (_name, shape) => {
      const loaded = await loadModel(shape);
      const engine = await startEngine(loaded.model, {
        slotCount: 4,
        contextLength: 2048,
        kvTokenCount: 2048,
      });
      try {
        const prompts = [2, 3, 4, 5].map((seed) => [user(`${words(500, seed)} ${seed}`)]);
        const request = { maxTokens: 480 };
        const alone: string[] = [];
        for (const prompt of prompts) {
          alone.push((await completeCold(engine, prompt, request.maxTokens)).text);
        }
        const before = engine.stats().preemptedSequenceCount;
        const together = await Promise.all(
          prompts.map((prompt) => complete(engine, prompt, request)),
        );
        expect(together.map(({ text }) => text)).toEqual(alone);
        const tokenCounts = together.map(({ end }) => end.usage.promptTokenCount);
        expect(Math.min(...tokenCounts)).toBeGreaterThan(400);
        expect(engine.stats().preemptedSequenceCount).toBeGreaterThan(before);
        expect(engine.stats().usedKvTokenCount).toBe(0);
      } finally {
        await engine.close();
        await loaded.dispose();
      }
    },
  );
});

describe('a long prompt beside running streams', () => {
  test('comes in chunks, between which the streams go on', async () => {
    const loaded = await loadModel({ width: 256, feedForwardWidth: 512, layerCount: 4 });
    const engine = await startEngine(loaded.model, {
      slotCount: 5,
      contextLength: 4096,
      // So short that no processor computes the prompt in fewer steps.
      stepTargetMs: 5,
    });
    try {
      const abort = new AbortController();
      const streams = [1, 2, 3, 4].map((index) =>
        complete(engine, `stream ${index}`, { maxTokens: 4000 }, abort.signal),
      );
      await until(() => engine.stats().sampledTokenCount > 40, 'the streams run');
      const before = engine.stats();
      await complete(engine, words(1800, 3), { maxTokens: 1 });
      const after = engine.stats();
      abort.abort();
      await Promise.all(streams);
      // In chunks of a ubatch it would have been six steps.
      expect(after.decodeCallCount - before.decodeCallCount).toBeGreaterThan(12);
      expect(after.sampledTokenCount - before.sampledTokenCount).toBeGreaterThan(4 * 12);
    } finally {
      await engine.close();
      await loaded.dispose();
    }
  });
});
