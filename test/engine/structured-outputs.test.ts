/** Formats of plain text, and of prompts without a chat, on the bundled model. */
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { ReplyFormat } from '../../src/engine/chat.ts';
import type { GeneratingEngine } from '../../src/engine/engine.ts';
import {
  grammarInLines,
  grammarOfChoices,
  grammarOfPattern,
} from '../../src/grammar/text-grammar.ts';
import {
  collect,
  type LoadedModel,
  loadModel,
  startEngine,
} from '../../tools/fixtures/start-engine.ts';
import { templateSource } from '../../tools/fixtures/template-sources.ts';

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
      const format = { contentGrammar: grammarOfPattern(pattern) };
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
    const format = { contentGrammar: grammarOfChoices(choices) };
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

describe('content after reasoning', () => {
  const choices = ['red', 'green'];

  async function partsOf(on: GeneratingEngine, thinking: boolean, contentGrammar: string) {
    const messages = [{ role: 'user', content: 'Which colour?' }] as const;
    // A random model would never end its reasoning by itself.
    const options = { contentGrammar, thinking, ...(thinking && { thinkingBudget: 8 }) };
    const prompt = await on.generator.prepareChat(messages, options);
    let content = '';
    let reasoning = '';
    let finishReason = '';
    for await (const event of on.generator.generate({ prompt, sampling, maxTokens: 120 })) {
      if (event.type === 'text-delta') content += event.text;
      if (event.type === 'reasoning-delta') reasoning += event.text;
      if (event.type === 'sequence-end') finishReason = event.finishReason;
    }
    return { content, reasoning, finishReason };
  }

  test('follows its grammar, and the reasoning does not', async () => {
    const grammar = grammarOfChoices(choices);
    const thought = await partsOf(engine, true, grammar);
    expect(thought.reasoning).not.toBe('');
    expect(choices).toContain(thought.content);
    expect(thought.finishReason).toBe('stop');
    const direct = await partsOf(engine, false, grammar);
    expect(direct.reasoning).toBe('');
    expect(choices).toContain(direct.content);
  });

  test('follows a grammar of several lines with comments', async () => {
    const source = '# one of two\nroot ::= answer  # \\\nanswer ::= (\n  "yes" |\n  "no"\n)\n';
    const { content } = await partsOf(engine, true, grammarInLines(source));
    expect(['yes', 'no']).toContain(content);
  });

  test.each([
    'Qwen-Qwen3-0.6B',
    'deepseek-ai-DeepSeek-R1-Distill-Llama-8B',
    'openai-gpt-oss-120b',
    'mistralai-Mistral-Nemo-Instruct-2407',
    'google-gemma-2-2b-it',
    'Kimi-K2-Instruct',
  ])('in the form of %s', async (name) => {
    const other = await startEngine(loaded.model, {
      chatTemplate: templateSource(name),
      contextLength: 8192,
      slotCount: 1,
    });
    onTestFinished(() => other.close());
    for (const thinking of [true, false]) {
      const { content, finishReason } = await partsOf(other, thinking, grammarOfChoices(choices));
      if (finishReason === 'stop') expect(choices, `thinking: ${thinking}`).toContain(content);
      else expect(content).toBe('');
    }
  });
});
