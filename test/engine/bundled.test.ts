/**
 * The bundled model in the engine: trained weights, a real tokenizer and template, a natural end. What
 * it says depends on its training and is not asked here.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bundledModelPath } from '../../src/core/package-info.ts';
import type { GeneratingEngine } from '../../src/engine/engine.ts';
import {
  complete,
  type LoadedModel,
  loadModel,
  startEngine,
} from '../../tools/fixtures/start-engine.ts';
import { chatmlTemplate } from '../../tools/fixtures/tiny-model.ts';
import { differsByNearTie, greedyReplay } from '../support/greedy-replay.ts';

let loaded: LoadedModel;
let engine: GeneratingEngine;

beforeAll(async () => {
  loaded = await loadModel(bundledModelPath);
  // A plain template, so that the tests know the rendered prompt.
  const options = { slotCount: 16, contextLength: 1024, chatTemplate: chatmlTemplate };
  engine = await startEngine(loaded.model, options);
});

afterAll(async () => {
  await engine.close();
  await loaded.dispose();
});

const rendered = (content: string) =>
  `<|im_start|>user\n${content}<|im_end|>\n<|im_start|>assistant\n`;
const prompts = Array.from({ length: 16 }, (_, index) => `Count from ${index} to ${index + 4}.`);

describe('the bundled model', () => {
  test('gives 16 at once the text each gets alone', async () => {
    const alone: string[] = [];
    for (const prompt of prompts) {
      alone.push((await complete(engine, prompt, { maxTokens: 64 })).text);
    }
    expect(new Set(alone).size).toBeGreaterThan(1);
    const together = await Promise.all(
      prompts.map((prompt) => complete(engine, prompt, { maxTokens: 64 })),
    );
    for (const [index, prompt] of prompts.entries()) {
      const texts = [alone[index] as string, together[index]?.text as string] as const;
      if (texts[0] === texts[1]) continue;
      const isNearTie = await differsByNearTie(loaded.model, rendered(prompt), texts);
      expect.soft({ prompt, texts, isNearTie }).toMatchObject({ isNearTie: true });
    }
  });

  test('gives the text of node-llama-cpp’s own loop', async () => {
    const prompt = prompts[3] as string;
    const { text, end } = await complete(engine, prompt, { maxTokens: 64 });
    const steps = await greedyReplay(
      loaded.model,
      rendered(prompt),
      end.usage.completionTokenCount,
    );
    expect(text).toBe(steps.at(-1)?.text);
    expect(steps.some(({ token }) => loaded.model.isEogToken(token))).toBe(
      end.finishReason === 'stop',
    );
  });

  test('ends by itself, and does not show how', async () => {
    const { text, end } = await complete(engine, 'Hello!', { maxTokens: 500 });
    expect(end.finishReason).toBe('stop');
    expect(text).not.toBe('');
    expect(text).not.toContain('<|');
  });

  test.each([
    ['letters and digits', 'Is 12 more than 7?'],
    ['other scripts', 'Привет, 世界, 👩‍👩‍👧 e\u0301'],
    ['blanks and lines', ' \t\n\n  two  words \r\n'],
    ['its own marks', '<think></think><tool_call>'],
  ])('takes %s in a prompt, counted as the tokenizer does', async (_name, content) => {
    const prompt = await engine.generator.prepareChat([{ role: 'user', content }]);
    expect(prompt.tokenCount).toBe(loaded.model.tokenize(rendered(content), true).length);
    const { end } = await complete(engine, content, { maxTokens: 4 });
    expect(end.usage.promptTokenCount).toBe(prompt.tokenCount);
  });
});

test('a reply without reasoning follows its schema at once, with the template of the model', async () => {
  const own = await startEngine(loaded.model, { slotCount: 1, contextLength: 1024 });
  try {
    const jsonSchema = { type: 'array', items: { type: 'integer' }, minItems: 1, maxItems: 3 };
    for (const content of ['Count from 1 to 3.', 'What is two plus two?', 'Who are you?']) {
      const options = { jsonSchema, thinking: false };
      const prompt = await own.generator.prepareChat([{ role: 'user', content }], options);
      const types: string[] = [];
      let text = '';
      const request = { prompt, sampling: { temperature: 0 }, maxTokens: 100 };
      for await (const event of own.generator.generate(request)) {
        types.push(event.type);
        if (event.type === 'text-delta') text += event.text;
      }
      expect(types, content).not.toContain('reasoning-delta');
      expect(JSON.parse(text), content).toBeInstanceOf(Array);
    }
  } finally {
    await own.close();
  }
});
