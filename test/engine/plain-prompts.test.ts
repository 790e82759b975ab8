import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { GeneratingEngine } from '../../src/engine/engine.ts';
import type { PlainPrompt } from '../../src/engine/generator.ts';
import {
  collect,
  type LoadedModel,
  loadModel,
  startEngine,
} from '../../tools/fixtures/start-engine.ts';

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

async function completionOf(prompt: PlainPrompt) {
  const prepared = await engine.generator.prepare(prompt);
  return collect(
    engine.generator.generate({ prompt: prepared, maxTokens: 12, sampling: { temperature: 0 } }),
  );
}

const all = { addSpecial: true, parseSpecial: true } as const;

describe('a prompt without a template', () => {
  test('completes the same as text and as its tokens', async () => {
    const text = 'Once upon a time';
    const tokens = await engine.tokenizer.tokenize(text, all);
    const [fromText, fromTokens] = [await completionOf({ text }), await completionOf({ tokens })];
    expect(fromText.text).toBe(fromTokens.text);
    expect(fromText.text).not.toBe('');
    expect(fromTokens.end.usage).toMatchObject({
      completionTokenCount: fromText.end.usage.completionTokenCount,
      promptTokenCount: tokens.length,
    });
    expect(fromText.end.usage.promptTokenCount).toBe(tokens.length);
  });

  test('is refused when nothing is left of it', async () => {
    await expect(engine.generator.prepare({ tokens: [] })).rejects.toMatchObject({
      code: 'bad_request',
      param: 'prompt',
    });
  });
});

describe('tokens and text', () => {
  test.each(['', 'Hello', ' two  spaces ', 'é 日本 🙂', 'a<|im_end|>b'])(
    '%j comes back as it was',
    async (text) => {
      const tokens = await engine.tokenizer.tokenize(text, {
        addSpecial: false,
        parseSpecial: true,
      });
      expect(tokens.every((token) => token >= 0 && token < engine.info.vocabularySize)).toBe(true);
      expect((await engine.tokenizer.detokenize(tokens)).toString()).toBe(text);
    },
  );

  test('control tokens are text unless they are asked for', async () => {
    const options = { addSpecial: false } as const;
    const [end] = await engine.tokenizer.tokenize('<|im_end|>', { ...options, parseSpecial: true });
    const spelled = await engine.tokenizer.tokenize('<|im_end|>', {
      ...options,
      parseSpecial: false,
    });
    expect(spelled.length).toBeGreaterThan(1);
    expect(spelled).not.toContain(end);
    expect((await engine.tokenizer.detokenize(spelled)).toString()).toBe('<|im_end|>');
  });

  test('agree with node-llama-cpp', async () => {
    const text = 'The quick brown fox, 12 times.';
    const expected = loaded.model.tokenize(text, true);
    expect(
      await engine.tokenizer.tokenize(text, { addSpecial: false, parseSpecial: true }),
    ).toEqual([...expected]);
  });
});

test('a rendered chat is what its prompt is made of', async () => {
  const messages = [{ role: 'user', content: 'Hi there' }] as const;
  const text = await engine.generator.renderChat(messages);
  expect(text).toBe('<|im_start|>user\nHi there<|im_end|>\n<|im_start|>assistant\n');
  const tokens = await engine.tokenizer.tokenize(text, all);
  expect((await engine.generator.prepareChat(messages)).tokenCount).toBe(tokens.length);
});
