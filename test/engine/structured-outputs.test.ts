/** Formats of plain text, and of prompts without a chat, on the bundled model. */
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ReplyFormat } from '../../src/engine/chat.ts';
import type { GeneratingEngine } from '../../src/engine/engine.ts';
import { grammarOfChoices, grammarOfPattern } from '../../src/grammar/text-grammar.ts';
import {
  collect,
  type LoadedModel,
  loadModel,
  startEngine,
} from '../../tools/fixtures/start-engine.ts';

const bundledModel = fileURLToPath(new URL('../../models/tiny-chat.gguf', import.meta.url));

let loaded: LoadedModel;
let engine: GeneratingEngine;

beforeAll(async () => {
  loaded = await loadModel(bundledModel);
  engine = await startEngine(loaded.model, { slotCount: 4 });
});

afterAll(async () => {
  await engine.close();
  await loaded.dispose();
});

const sampling = { temperature: 1, seed: 3n };

async function continued(format: ReplyFormat, plain: string | number[] = 'The answer is ') {
  const prompt = await engine.generator.prepare(
    typeof plain === 'string' ? { text: plain } : { tokens: plain },
    format,
  );
  return collect(engine.generator.generate({ prompt, sampling, maxTokens: 60 }));
}

async function replied(format: ReplyFormat) {
  const messages = [{ role: 'user', content: 'Which one?' }] as const;
  const prompt = await engine.generator.prepareChat(messages, format);
  return collect(engine.generator.generate({ prompt, sampling, maxTokens: 60 }));
}

describe('a text that matches a pattern', () => {
  test.each(['[0-9]{4}-[0-9]{2}', '(red|green|blue) (car|boat)', 'é+"\\n', '[^a-z]{5}'])(
    '%s',
    async (pattern) => {
      const format = { grammar: grammarOfPattern(pattern) };
      for (const { text, end } of [await continued(format), await replied(format)]) {
        if (end.finishReason === 'stop') expect(text).toMatch(new RegExp(`^(?:${pattern})$`, 'u'));
        expect(['stop', 'length']).toContain(end.finishReason);
      }
    },
  );
});

describe('one of several texts', () => {
  test.each([
    [['positive', 'negative', 'neutral']],
    [['a', 'ab', 'abc']],
    [['say "hi"', 'two\nlines', 'ümlaut']],
    [Array.from({ length: 300 }, (_, index) => `label ${index}`)],
  ])('%j', async (choices) => {
    const format = { grammar: grammarOfChoices(choices) };
    for (const { text, end } of [await continued(format), await replied(format)]) {
      expect(choices).toContain(text);
      expect(end.finishReason).toBe('stop');
    }
  });
});

describe('a prompt without a chat', () => {
  test('is continued by the format that its schema asks for', async () => {
    const jsonSchema = {
      type: 'object',
      properties: { ok: { type: 'boolean' } },
      required: ['ok'],
      additionalProperties: false,
    };
    const tokens = [
      ...(await engine.tokenizer.tokenize('Is it?', {
        addSpecial: true,
        parseSpecial: true,
      })),
    ];
    for (const { text, end } of [
      await continued({ jsonSchema }),
      await continued({ jsonSchema }, tokens),
    ]) {
      expect(end.finishReason).toBe('stop');
      expect(JSON.parse(text)).toEqual({ ok: expect.any(Boolean) });
    }
  });

  test('refuses a grammar that does not parse, and serves the next request', async () => {
    const failing = continued({ grammar: 'root ::= (' });
    await expect(failing).rejects.toMatchObject({ code: 'bad_request' });
    expect((await continued({ grammar: 'root ::= "a"' })).text).toBe('a');
  });
});

describe('the end of the prompt of a chat', () => {
  const user = { role: 'user', content: 'Who are you?' } as const;
  const assistant = { role: 'assistant', content: 'I am' } as const;
  const opening = '<|im_start|>assistant\n';
  const render = (
    messages: readonly (typeof user | typeof assistant)[],
    ending?: 'turn' | 'closed',
  ) => engine.generator.renderChat(messages, ending && { ending });

  test('is a new message of the assistant, or what it has said, as the request asks', async () => {
    const asked = await render([user]);
    expect(asked.endsWith(opening)).toBe(true);
    expect(await render([user], 'turn')).toBe(asked);
    expect(await render([user], 'closed')).toBe(asked.slice(0, -opening.length));
    expect((await render([user, assistant])).endsWith('I am')).toBe(true);
    const told = await render([user, assistant], 'turn');
    expect(told.endsWith(`I am<|im_end|>\n${opening}`)).toBe(true);
    expect(await render([user, assistant], 'closed')).toBe(told.slice(0, -opening.length));
  });
});
