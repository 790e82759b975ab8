import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { offeredTools, readTools } from '../../src/api/chat/chat-tools.ts';
import { RequestProblems } from '../../src/api/fields/request-problems.ts';
import type { ChatMessage, ChatOptions, Tool } from '../../src/engine/chat.ts';
import type { GeneratingEngine } from '../../src/engine/engine.ts';
import type { EngineEvent, EngineRequest } from '../../src/engine/generator.ts';

import { type LoadedModel, loadModel, startEngine } from '../../tools/fixtures/start-engine.ts';

// The random model calls tools only because a grammar makes it: what it writes is nonsense of the right
// form. The template is the bundled model's, a short one of the Hermes family.
const chatTemplate = readFileSync(
  new URL('../../tools/train/template.jinja', import.meta.url),
  'utf8',
);

const tools: readonly Tool[] = [
  {
    name: 'get_weather',
    description: 'The weather of a city',
    parameters: {
      type: 'object',
      properties: {
        city: { type: 'string', maxLength: 12 },
        unit: { enum: ['celsius', 'fahrenheit'] },
        days: { type: 'integer', minimum: 1, maximum: 9 },
      },
      required: ['city', 'unit', 'days'],
    },
  },
  { name: 'get_time', description: 'The time', parameters: { type: 'object', properties: {} } },
];

const question: readonly ChatMessage[] = [{ role: 'user', content: 'What is the weather?' }];

interface Reply {
  readonly content: string;
  readonly reasoning: string;
  readonly calls: readonly { id: string; name: string; arguments: string }[];
  readonly end: Extract<EngineEvent, { type: 'sequence-end' }>;
  readonly events: readonly EngineEvent[];
}

let loaded: LoadedModel;
let engine: GeneratingEngine;

beforeAll(async () => {
  loaded = await loadModel();
  engine = await startEngine(loaded.model, { chatTemplate, contextLength: 1024 });
});

afterAll(async () => {
  await engine.close();
  await loaded.dispose();
});

async function reply(
  chat: ChatOptions,
  request: Omit<EngineRequest, 'prompt'> = {},
  messages = question,
): Promise<Reply> {
  const prompt = await engine.generator.prepareChat(messages, chat);
  const events: EngineEvent[] = [];
  for await (const event of engine.generator.generate({ maxTokens: 400, ...request, prompt })) {
    events.push(event);
  }
  const calls: { id: string; name: string; arguments: string }[] = [];
  const texts = { 'text-delta': '', 'reasoning-delta': '' };
  for (const event of events) {
    if (event.type === 'tool-call') calls[event.index] = { ...event, arguments: '' };
    if (event.type === 'tool-call-delta') {
      (calls[event.index] as { arguments: string }).arguments += event.arguments;
    }
    if (event.type === 'text-delta' || event.type === 'reasoning-delta') {
      expect(event.text).not.toBe('');
      texts[event.type] += event.text;
    }
  }
  const end = events.at(-1);
  if (end?.type !== 'sequence-end') throw new Error('the stream ended without sequence-end');
  return { content: texts['text-delta'], reasoning: texts['reasoning-delta'], calls, end, events };
}

describe('a required call', () => {
  test('is always there, of an offered tool, with arguments that fit its schema', async () => {
    const names = new Set<string>();
    for (let round = 0; round < 12; round++) {
      const { calls, content, end } = await reply(
        { tools, toolChoice: 'required', parallelToolCalls: false },
        { sampling: { temperature: 1.5, seed: BigInt(round) } },
      );
      if (end.finishReason === 'length') continue;
      expect(end.finishReason).toBe('tool-calls');
      expect(content).toBe('');
      expect(calls).toHaveLength(1);
      const [call] = calls;
      expect(call?.id).toMatch(/^[0-9A-Za-z]{9}$/);
      names.add(call?.name ?? '');
      const parsed = JSON.parse(call?.arguments ?? '') as Record<string, unknown>;
      if (call?.name === 'get_time') expect(parsed).toEqual({});
      else {
        expect(parsed).toEqual({
          city: expect.any(String),
          unit: expect.stringMatching(/^(celsius|fahrenheit)$/),
          days: expect.any(Number),
        });
        expect(parsed.days).toBeGreaterThanOrEqual(1);
        expect(parsed.days).toBeLessThanOrEqual(9);
      }
    }
    expect([...names].every((name) => tools.some((tool) => tool.name === name))).toBe(true);
    expect(names.size).toBeGreaterThan(0);
  });

  test('follows what can be enforced of a schema that cannot, and is shown all of it', async () => {
    const parameters = {
      type: 'object',
      properties: {
        code: { type: 'string', pattern: '^(?=x)x{1,3}$', maxLength: 5 },
        level: { type: 'integer', minimum: 105, maximum: 110, not: { const: 107 } },
        rest: { type: 'boolean', if: true },
      },
      required: ['code', 'level'],
      minProperties: 2,
    };
    const body = { type: 'function', function: { name: 'odd', parameters } };
    const request = {
      messages: [{ role: 'user' as const, content: 'x' }],
      tools: [body],
      tool_choice: 'required' as const,
      parallel_tool_calls: false,
    };
    const offered = offeredTools(request, await readTools(request, new RequestProblems()));
    const shown: ChatOptions = { tools: [{ name: 'odd', parameters }], toolChoice: 'none' };
    const { tokenCount } = await engine.generator.prepareChat(question, offered);
    expect(tokenCount).toBe((await engine.generator.prepareChat(question, shown)).tokenCount);
    let finished = 0;
    for (let seed = 1n; seed <= 8n; seed++) {
      const { calls, end } = await reply(offered, { sampling: { temperature: 1, seed } });
      if (end.finishReason === 'length') continue;
      finished += 1;
      const { code, level } = JSON.parse(calls[0]?.arguments ?? '') as Record<string, unknown>;
      expect(code).toBeTypeOf('string');
      expect(level).toBeGreaterThanOrEqual(105);
      expect(level).toBeLessThanOrEqual(110);
    }
    expect(finished).toBeGreaterThan(0);
  });

  test('comes as its name first and then its arguments in pieces', async () => {
    const { events, calls } = await reply(
      { tools: tools.slice(0, 1), toolChoice: 'required', parallelToolCalls: false },
      { sampling: { temperature: 0 } },
    );
    expect(events[0]).toMatchObject({ type: 'tool-call', index: 0, name: 'get_weather' });
    const pieces = events.slice(1, -1);
    expect(pieces.length).toBeGreaterThan(3);
    expect(new Set(pieces.map(({ type }) => type))).toEqual(new Set(['tool-call-delta']));
    expect(calls[0]?.arguments.startsWith('{')).toBe(true);
  });

  test('that is cut is not called', async () => {
    const chat = {
      tools: tools.slice(0, 1),
      toolChoice: 'required',
      parallelToolCalls: false,
    } as const;
    let cut: Reply;
    let maxTokens = 20;
    // The name is told with the first character of the arguments.
    do {
      maxTokens += 5;
      cut = await reply(chat, { maxTokens, sampling: { temperature: 0 } });
    } while (cut.calls.length === 0 && maxTokens < 300);
    const { calls, end } = cut;
    expect(end.finishReason).toBe('length');
    expect(calls.map(({ name }) => name)).toEqual(['get_weather']);
    expect(() => JSON.parse(calls[0]?.arguments ?? '')).toThrow();
  });
});

describe('a free reply', () => {
  test('of a model that does not call is the text it gives without a parser', async () => {
    const sampling = { temperature: 0 } as const;
    const { content, calls, end } = await reply({ tools }, { maxTokens: 60, sampling });
    const plain = await reply({ tools, toolChoice: 'none' }, { maxTokens: 60, sampling });
    expect(calls).toEqual([]);
    expect(content).toBe(plain.content);
    expect(end.usage.promptTokenCount).toBe(plain.end.usage.promptTokenCount);
    expect(end.usage.completionTokenCount).toBe(plain.end.usage.completionTokenCount);
  });

  test('to different requests at the same time is the same as alone', async () => {
    const requests = [
      { tools, toolChoice: 'required' },
      { tools },
      { thinking: true },
      { thinking: false },
    ] as const;
    const sampling = { temperature: 0 };
    const alone = [];
    for (const chat of requests) alone.push(await reply(chat, { maxTokens: 80, sampling }));
    const together = await Promise.all(
      requests.map((chat) => reply(chat, { maxTokens: 80, sampling })),
    );
    const shown = (each: Reply) => [
      each.content,
      each.reasoning,
      each.calls.map(({ name, arguments: text }) => [name, text]),
      each.end.finishReason,
    ];
    expect(together.map(shown)).toEqual(alone.map(shown));
  });
});

describe('reasoning', () => {
  test('is what comes before its end mark, which a budget forces', async () => {
    const free = await reply({ thinking: true }, { maxTokens: 60, sampling: { temperature: 0 } });
    expect(free.content).toBe('');
    expect(free.reasoning.length).toBeGreaterThan(20);
    expect(free.end.usage.reasoningTokenCount).toBe(60);
    const limited = await reply(
      { thinking: true, thinkingBudget: 8 },
      { maxTokens: 60, sampling: { temperature: 0 } },
    );
    expect(free.reasoning.startsWith(limited.reasoning)).toBe(true);
    expect(limited.reasoning.length).toBeLessThan(free.reasoning.length);
    expect(limited.content).not.toBe('');
    expect(limited.content).not.toContain('</think>');
    const { reasoningTokenCount, completionTokenCount } = limited.end.usage;
    expect(reasoningTokenCount).toBeGreaterThanOrEqual(9);
    expect(reasoningTokenCount).toBeLessThan(completionTokenCount);
  });

  test('is off unless asked for, as this template has it by itself', async () => {
    expect(engine.info.chat).toEqual({ tools: true, thinking: true, thinksByDefault: false });
    const { reasoning, content } = await reply({}, { maxTokens: 20, sampling: { temperature: 0 } });
    expect(reasoning).toBe('');
    expect(content).not.toBe('');
  });
});

describe('what a template is given', () => {
  const sizeOf = async (chat: ChatOptions, messages = question) =>
    (await engine.generator.prepareChat(messages, chat)).tokenCount;

  test('is tools, also when none may be called', async () => {
    const without = await sizeOf({});
    expect(await sizeOf({ tools })).toBeGreaterThan(without + 50);
    expect(await sizeOf({ tools, toolChoice: 'none' })).toBe(await sizeOf({ tools }));
  });

  test('is a history with calls, results and thoughts', async () => {
    const history: readonly ChatMessage[] = [
      ...question,
      {
        role: 'assistant',
        content: '',
        tool_calls: [
          {
            id: 'call_1',
            type: 'function',
            function: { name: 'get_weather', arguments: '{"city": "Oslo"}' },
          },
        ],
      },
      { role: 'tool', content: '12 degrees', tool_call_id: 'call_1', name: 'get_weather' },
    ];
    const rendered =
      '<|im_start|>user\nWhat is the weather?<|im_end|>\n<|im_start|>assistant\n<tool_call>\n' +
      '{"name": "get_weather", "arguments": {"city": "Oslo"}}\n</tool_call><|im_end|>\n' +
      '<|im_start|>user\n<tool_response>\n12 degrees\n</tool_response><|im_end|>\n' +
      '<|im_start|>assistant\n';
    expect(await sizeOf({}, history)).toBe(loaded.model.tokenize(rendered, true).length);
  });

  test('is the beginning of an answer to go on with', async () => {
    const begun: readonly ChatMessage[] = [...question, { role: 'assistant', content: 'It is' }];
    const size = await sizeOf({}, begun);
    const end = loaded.model.tokenize('<|im_end|>', true).length;
    const closed = await sizeOf({}, [...begun, ...question]);
    expect(size).toBeLessThan(closed - end);
    const { content } = await reply({}, { maxTokens: 10, sampling: { temperature: 0 } }, begun);
    expect(content).not.toBe('');
  });

  test('is further variables', async () => {
    const other = await startEngine(loaded.model, {
      chatTemplate: "{{ messages[0].content + (greeting or '') }}",
    });
    try {
      const plain = await other.generator.prepareChat(question);
      const more = await other.generator.prepareChat(question, {
        templateArguments: { greeting: 'Good morning to you' },
      });
      expect(more.tokenCount).toBeGreaterThan(plain.tokenCount);
    } finally {
      await other.close();
    }
  });
});

test('a structured reply survives a close in the middle', async () => {
  const other = await startEngine(loaded.model, { chatTemplate, contextLength: 2048 });
  const prompt = await other.generator.prepareChat(question, { thinking: true });
  const events: EngineEvent[] = [];
  let closing: Promise<void> | undefined;
  const sampling = { temperature: 0, ignoreEos: true };
  for await (const event of other.generator.generate({ prompt, maxTokens: 1900, sampling })) {
    events.push(event);
    closing ??= other.close();
  }
  await closing;
  expect(events[0]?.type).toBe('reasoning-delta');
  expect(events.at(-1)).toMatchObject({ type: 'sequence-end', finishReason: 'cancelled' });
});
