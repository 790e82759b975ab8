/** Tools of every kind, on every chat template in llama.cpp's source: the prompt shows them, and they can be called. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ChatCompletionRequest } from '../../src/api/chat/chat-shapes.ts';
import { offeredTools, readTools } from '../../src/api/chat/chat-tools.ts';
import { RequestProblems } from '../../src/api/fields/request-problems.ts';
import type { ChatOptions } from '../../src/engine/chat.ts';
import type { GeneratingEngine } from '../../src/engine/engine.ts';
import type { EngineEvent } from '../../src/engine/generator.ts';
import { loadAddon } from '../../src/engine/load-addon.ts';
import { ReplyReader } from '../../src/engine/reply-reader.ts';
import { type LoadedModel, loadModel, startEngine } from '../../tools/fixtures/start-engine.ts';
import { templateNames, templateSource } from '../../tools/fixtures/template-sources.ts';
import { sampled } from '../support/long.ts';

const string = { type: 'string' };
const reference = { $ref: '#/$defs/node' };
const node = { type: 'object', properties: { next: reference } };

/** Properties of a tool, by what is unusual about them. */
const properties: Readonly<Record<string, unknown>> = {
  'nothing unusual': { alpha: string },
  'a property of any kind': { alpha: true, beta: {}, gamma: { description: 'anything' } },
  'no properties': null,
  'an array without items': { alpha: { type: 'array' } },
  'an array of anything': { alpha: { type: 'array', items: {} } },
  'an array of a schema that is true': { alpha: { type: 'array', items: true } },
  'an array of several types': { alpha: { type: 'array', items: { type: ['string', 'integer'] } } },
  'a tuple': { alpha: { type: 'array', prefixItems: [string, { type: 'integer' }] } },
  'an array as items': { alpha: { type: 'array', items: [string] } },
  'several types': { alpha: { type: ['string', 'null'] } },
  'a reference': { alpha: reference },
  alternatives: { alpha: { anyOf: [string, { type: 'null' }] } },
  'one of several': { alpha: { oneOf: [string, { type: 'array' }] } },
  'all of several': { alpha: { allOf: [reference], description: 'whole' } },
  'values of several types': { alpha: { enum: [1, 'a', null] } },
  'a constant': { alpha: { const: 'only' } },
  'objects without properties': {
    alpha: { type: 'object' },
    beta: { type: 'object', properties: null },
    gamma: { type: 'object', additionalProperties: { type: ['string', 'null'] } },
  },
  'a description that is null': { alpha: { type: 'string', description: null } },
  'default values': {
    alpha: { type: 'integer', default: null },
    beta: { type: 'array', items: string, default: [] },
  },
  'names of object members': JSON.parse(
    '{"__proto__": {"type": "string"}, "constructor": {"type": "string"}, "items": {"type": "array"}}',
  ),
};

const parametersOf = (kind: string) => ({
  type: 'object',
  properties: properties[kind],
  $defs: { node },
});

/** Parameters that are no object of properties. */
const others: Readonly<Record<string, object | undefined>> = {
  none: undefined,
  'an empty object': {},
  'an object of anything': { type: 'object' },
  'alternatives at the top': {
    anyOf: [
      { type: 'object', properties: { alpha: string } },
      { type: 'object', properties: { beta: string } },
    ],
  },
  'required names that are null': { type: 'object', properties: { alpha: string }, required: null },
};

async function readAs(toolChoice: string, ...functions: object[]): Promise<ChatOptions> {
  const problems = new RequestProblems();
  const body = {
    tools: functions.map((each) => ({ type: 'function', function: each })),
    tool_choice: toolChoice,
  } as unknown as ChatCompletionRequest;
  const options = offeredTools(body, await readTools(body, problems));
  problems.throwIfAny();
  return options;
}

const question = [{ role: 'user', content: 'Hello' }] as const;

let loaded: LoadedModel;
beforeAll(async () => {
  loaded = await loadModel({ contextLength: 8192 });
});
afterAll(() => loaded.dispose());

const start = (name: string) =>
  startEngine(loaded.model, {
    chatTemplate: templateSource(name),
    slotCount: 1,
    contextLength: 8192,
  });

describe.each(sampled(templateNames(), 6))('%s', (name) => {
  let engine: GeneratingEngine;
  beforeAll(async () => {
    engine = await start(name);
  });
  afterAll(() => engine?.close());

  async function showsAll(parameters: object | undefined, words: readonly string[]) {
    const tool = { name: 'look_up', description: 'Finds a word', parameters };
    const prompt = await engine.generator.renderChat(question, await readAs('auto', tool));
    expect(
      ['look_up', 'Finds a word', ...words].filter((word) => !prompt.includes(word)),
      prompt,
    ).toEqual([]);
    // The grammar of a call is made of the same schema.
    const prepared = await engine.generator.prepareChat(question, await readAs('required', tool));
    expect(prepared.structured).toBe(true);
  }

  test.each(Object.keys(properties))('shows and enforces %s', async (kind) => {
    await showsAll(parametersOf(kind), Object.keys(properties[kind] ?? {}));
  });

  test.each(Object.keys(others))('shows and enforces parameters: %s', async (kind) => {
    await showsAll(others[kind], JSON.stringify(others[kind] ?? '').match(/alpha|beta/g) ?? []);
  });
});

/** A family with JSON in calls, one with arguments between tags, one with a notation of its own, and tools in words. */
const families = ['Qwen-Qwen2.5-7B-Instruct', 'Qwen3-Coder', 'LFM2-8B-A1B', 'google-gemma-2-2b-it'];

describe.each(families)('names that differ in signs alone, with %s', (name) => {
  /** Each tool has one value of its own. */
  const values = { 'a.b': 1, a_b: 2, 'a-b': 3, call: 4 } as const;
  let options: ChatOptions;
  let engine: GeneratingEngine;
  beforeAll(async () => {
    options = await readAs(
      'required',
      ...Object.entries(values).map(([key, value]) => ({
        name: key,
        parameters: {
          type: 'object',
          properties: { value: { type: 'integer', enum: [value] } },
          required: ['value'],
          additionalProperties: false,
        },
      })),
    );
    engine = await start(name);
  });
  afterAll(() => engine?.close());

  test('are the names of the calls, whose arguments are their own', async () => {
    for (let seed = 0n; seed < 12n; seed++) {
      // The words of a random model depend on its prompt more than on its seed.
      const asked = [{ role: 'user', content: `Hello ${seed}` }] as const;
      const prompt = await engine.generator.prepareChat(asked, {
        ...options,
        parallelToolCalls: false,
        thinking: false,
      });
      const events: EngineEvent[] = [];
      const sampling = { temperature: 2, seed };
      for await (const event of engine.generator.generate({ prompt, sampling, maxTokens: 200 })) {
        events.push(event);
      }
      const [called] = events.filter((event) => event.type === 'tool-call');
      const text = events
        .map((event) => (event.type === 'tool-call-delta' ? event.arguments : ''))
        .join('');
      expect(JSON.parse(text)).toEqual({ value: values[called?.name as keyof typeof values] });
    }
  });

  test('are told apart in the prompt, in the history as well', async () => {
    const call = { id: 'a', type: 'function', function: { name: 'a-b', arguments: '{}' } } as const;
    const history = [
      ...question,
      { role: 'assistant', content: '', tool_calls: [call] },
      { role: 'tool', content: 'done', tool_call_id: 'a', name: 'a-b' },
    ] as const;
    const prompt = await engine.generator.renderChat(history, options);
    for (const shown of ['a.b', 'a_b_2', 'a-b_3', 'call_2']) expect(prompt).toContain(shown);
    expect(prompt.split('a-b_3').length).toBe(3);
  });
});

test('a name in the form of the reply is the name of the client', async () => {
  const engine = await start('Qwen-Qwen2.5-7B-Instruct');
  try {
    const prompt = await engine.generator.prepareChat(
      question,
      await readAs('auto', { name: 'a.b' }, { name: 'a_b' }),
    );
    const addon = loadAddon('cpu');
    const reader = new ReplyReader(new addon.ReplyParser(prompt.handle as object));
    const text = '<tool_call>\n{"name": "a_b_2", "arguments": {}}\n</tool_call>\n';
    const events = [
      ...(await reader.read([{ type: 'text-delta', text }])),
      ...(await reader.read([{ type: 'text-delta', text: '<tool_call>' }])),
    ];
    expect(events.filter((event) => event.type === 'tool-call')).toMatchObject([{ name: 'a_b' }]);
  } finally {
    await engine.close();
  }
});

test('a template that knows calls, but not tools, shows how a call is written', async () => {
  const engine = await start('deepseek-ai-DeepSeek-V3.1');
  try {
    const tool = { name: 'look_up', description: 'Finds a word', parameters: { type: 'object' } };
    const prompt = await engine.generator.renderChat(question, await readAs('auto', tool));
    expect(prompt).toContain('"name":"look_up"');
    expect(prompt).toContain(
      '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function_name<｜tool▁sep｜>{"argument_name": "value"}<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
    );
  } finally {
    await engine.close();
  }
});
