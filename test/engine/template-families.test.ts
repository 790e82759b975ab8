/**
 * Every chat template that llama.cpp's source carries: it renders a chat with tools; a call in its own
 * words is read back as that call. The words are what its grammar leaves to a model that must call with the
 * only arguments there are, and, where histories show calls as models write them, what it renders of one.
 */
import Schema from 'typebox/schema';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ChatMessage, Tool } from '../../src/engine/chat.ts';
import type { GeneratingEngine } from '../../src/engine/engine.ts';
import type { EngineEvent } from '../../src/engine/generator.ts';
import { loadAddon } from '../../src/engine/load-addon.ts';
import { ReplyReader } from '../../src/engine/reply-reader.ts';
import { enforceableSchema } from '../../src/grammar/schema.ts';
import {
  type LoadedModel,
  loadModel,
  noStrayBytes,
  startEngine,
} from '../../tools/fixtures/start-engine.ts';
import { templateNames, templateSource } from '../../tools/fixtures/template-sources.ts';
import { sampled } from '../support/long.ts';

const names = sampled(templateNames(), 4);

const json = '{"city": "Paris", "days": 3}';
const named = `{"name": "get_weather", "arguments": ${json}}`;
const hermes = `<tool_call>\n${named}\n</tool_call>`;
const functionTags =
  '<tool_call>\n<function=get_weather>\n<parameter=city>\nParis\n</parameter>\n<parameter=days>\n3\n</parameter>\n</function>\n</tool_call>';
const deepSeek =
  '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n' +
  `\`\`\`json\n${json}\n\`\`\`<｜tool▁call▁end｜><｜tool▁calls▁end｜>`;
const lfm = '<|tool_call_start|>[get_weather(city="Paris", days=3)]<|tool_call_end|>';
const gemma = '<|tool_call>call:get_weather{city:<|"|>Paris<|"|>,days:3}<tool_call|>';
const thought = 'I look it up.';

/**
 * A call as the model writes it, for templates whose histories do not show it (thoughts before it, calls
 * and results as one text), or that refuse the history it is taken from.
 */
const scripts = new Map([
  [
    'Apriel-1.6-15b-Thinker-fixed',
    `${thought}\n[BEGIN FINAL RESPONSE]\n<tool_calls>[${named}]</tool_calls>`,
  ],
  [
    'Cohere2MoE',
    `${thought}<|END_THINKING|><|START_ACTION|>[\n    {"tool_call_id": "0", "tool_name": "get_weather", "parameters": ${json}}\n]<|END_ACTION|>`,
  ],
  [
    'CohereForAI-c4ai-command-r-plus-tool_use',
    `Action:\n\`\`\`json\n[\n    {\n        "tool_name": "get_weather",\n        "parameters": ${json}\n    }\n]\`\`\``,
  ],
  ['Mistral-Small-3.2-24B-Instruct-2506', `[TOOL_CALLS]get_weather[CALL_ID]000000001[ARGS]${json}`],
  ['LFM2-8B-A1B', lfm],
  ['LFM2.5-Instruct', lfm],
  [
    'MiniMax-M2',
    `${thought}\n</think>\n\n<minimax:tool_call>\n<invoke name="get_weather">\n<parameter name="city">Paris</parameter>\n<parameter name="days">3</parameter>\n</invoke>\n</minimax:tool_call>`,
  ],
  [
    'MiniMax-M3',
    `<mm:think>${thought}</mm:think>]<]minimax[>[<tool_call>\n]<]minimax[>[<invoke name="get_weather">]<]minimax[>[<city>Paris]<]minimax[>[</city>]<]minimax[>[<days>3]<]minimax[>[</days>]<]minimax[>[</invoke>\n]<]minimax[>[</tool_call>`,
  ],
  ['NVIDIA-Nemotron-Nano-v2', `${thought}\n</think>\n<TOOLCALL>[${named}]</TOOLCALL>`],
  ['Qwen-QwQ-32B', hermes],
  ['Qwen-Qwen3-0.6B', hermes],
  ['Qwen3.5-4B', functionTags],
  ['StepFun3.5-Flash', `${thought}\n</think>\n${functionTags}`],
  ['deepseek-ai-DeepSeek-R1-Distill-Llama-8B', `${thought}\n</think>\n\n${hermes}`],
  ['deepseek-ai-DeepSeek-R1-Distill-Qwen-32B', deepSeek],
  ['google-gemma-4-31B-it', gemma],
  ['google-gemma-4-31B-it-interleaved', gemma],
  // It shows tools, but not how they are called: the form is ours.
  ['ibm-granite-granite-3.3-2B-Instruct', hermes],
  ['llama-cpp-deepseek-r1', `${thought}\n</think>\n\n${deepSeek}`],
  ['llama-cpp-rwkv-world', hermes],
  ['mistralai-Ministral-3-14B-Reasoning-2512', `[TOOL_CALLS]get_weather[ARGS]${json}`],
  [
    'mistralai-Mistral-Nemo-Instruct-2407',
    '[TOOL_CALLS][{"name": "get_weather", "arguments": {"city": "Paris", "days": 3}, "id": "000000001"}]',
  ],
  [
    'openai-gpt-oss-120b',
    `<|channel|>analysis<|message|>${thought}<|end|><|start|>assistant<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>${json}`,
  ],
  [
    'openbmb-MiniCPM5-1B',
    '<function name="get_weather"><param name="city">Paris</param><param name="days">3</param></function>',
  ],
  ['unsloth-Apriel-1.5', `<tool_calls>[${named}]</tool_calls>`],
]);

/** They think whatever they are told: a thought of random words would have no end. */
const alwaysThinking = new Set([
  'Cohere2MoE',
  'Kimi-K3',
  'MiniMax-M2',
  'NVIDIA-Nemotron-Nano-v2',
  'StepFun3.5-Flash',
  'deepseek-ai-DeepSeek-R1-Distill-Llama-8B',
  'llama-cpp-deepseek-r1',
]);

/** Families that may write a thought or a text without end before a call that has to be made. */
const mayWriteBefore = new Set([
  'Apriel-1.6-15b-Thinker-fixed',
  'CohereForAI-c4ai-command-r7b-12-2024-tool_use',
  'inclusionai-ling-3.0-flash',
  'meetkai-functionary-medium-v3.2',
  'muse-glimmer',
  'openai-gpt-oss-120b',
]);

/** Families whose replies may have any text beside calls. */
const looseBesideCalls = new Set(['CohereForAI-c4ai-command-r-plus-tool_use']);

const tools: readonly Tool[] = [
  {
    name: 'get_weather',
    description: 'The weather of a city',
    parameters: {
      type: 'object',
      properties: { city: { type: 'string' }, days: { type: 'integer' } },
      required: ['city', 'days'],
    },
  },
];
/** A tool that can be called in one way only. Without texts: where they end some families leave to the model. */
const onlyCall: Tool = {
  name: 'clock/alarm.set:v2@home',
  description: 'Sets an alarm',
  parameters: {
    type: 'object',
    properties: { hour: { type: 'integer', enum: [7] }, loud: { type: 'boolean', enum: [true] } },
    required: ['hour', 'loud'],
    additionalProperties: false,
  },
};
/** What has to be looked at: strings between tags, arguments in any order, one that may be missing. */
const strictParameters = {
  type: 'object',
  properties: {
    unit: { type: 'string', enum: ['celsius', 'fahren"heit', 'a <b>\n'] },
    code: { type: 'string', pattern: '^[A-Z<"\\n]{2,3}$' },
    days: { type: 'integer', minimum: 1, maximum: 14 },
    places: { type: 'array', items: { type: 'string', maxLength: 4 }, minItems: 2, maxItems: 3 },
    area: {
      type: 'object',
      properties: {
        kind: { type: ['string', 'null'], enum: ['city', null] },
        exact: { type: 'boolean' },
      },
      required: ['kind'],
      additionalProperties: false,
    },
    note: { anyOf: [{ type: 'string', minLength: 1, maxLength: 5 }, { type: 'null' }] },
    same: { $ref: '#/$defs/unit' },
  },
  required: ['unit', 'code', 'days', 'places', 'area'],
  additionalProperties: false,
  $defs: { unit: { type: 'string', enum: ['x', 'y'] } },
} as const;
const onlyAnswer = {
  type: 'object',
  properties: { answer: { type: 'integer', enum: [42] } },
  required: ['answer'],
  additionalProperties: false,
};
/** Calls that were looked at, by family. */
const followed = new Map<string, number>();
/** What the replies that may be either were. */
const kinds = new Set<string>();
const question: readonly ChatMessage[] = [{ role: 'user', content: 'Weather in Paris, 3 days?' }];
const called = { city: 'Paris', days: 3 };
const callMessage: ChatMessage = {
  role: 'assistant',
  content: '',
  tool_calls: [
    {
      id: 'call00001',
      type: 'function',
      function: { name: 'get_weather', arguments: JSON.stringify(called) },
    },
  ],
};
const thanks: ChatMessage = { role: 'user', content: 'Thanks.' };
const result: ChatMessage = {
  role: 'tool',
  content: 'sunny',
  name: 'get_weather',
  tool_call_id: 'call00001',
};

/** Ends of the turn of an assistant, in whatever template: what follows is the next message. */
function commonSuffix(one: string, other: string): number {
  let count = 0;
  while (
    count < Math.min(one.length, other.length) &&
    one.at(-1 - count) === other.at(-1 - count)
  ) {
    count += 1;
  }
  return count;
}

/** The call as the template writes it, from where an assistant begins to speak. */
async function scriptedCall(engine: GeneratingEngine): Promise<string> {
  const options = { tools, thinking: false };
  const opening = await engine.generator.renderChat(question, options);
  const history = await engine.generator.renderChat(
    [...question, callMessage, result, thanks],
    options,
  );
  const plain = await engine.generator.renderChat(
    [...question, { role: 'assistant', content: 'x' }, result, thanks],
    options,
  );
  let start = 0;
  while (start < opening.length && opening[start] === history[start]) start += 1;
  return history.slice(start, history.length - commonSuffix(history, plain));
}

function expectCall(
  events: readonly EngineEvent[],
  [name, wanted]: readonly [name: string, wanted: object],
  script: string,
): void {
  const opened = events.filter((event) => event.type === 'tool-call');
  expect(
    opened.map((event) => event.name),
    script,
  ).toEqual([name]);
  const text = events
    .map((event) => (event.type === 'tool-call-delta' ? event.arguments : ''))
    .join('');
  expect(JSON.parse(text)).toEqual(wanted);
  expect(events.at(-1)).toMatchObject({ finishReason: 'tool-calls' });
}

let loaded: LoadedModel;
beforeAll(async () => {
  loaded = await loadModel({ contextLength: 8192 });
});
afterAll(() => loaded.dispose());

/** Whose random replies are tried: all by `npm run test:long`, else some. */
const tried = sampled(names, 2);

describe.each(names)('%s', (name) => {
  const isTried = tried.includes(name);
  let engine: GeneratingEngine;
  beforeAll(async () => {
    const chatTemplate = templateSource(name);
    engine = await startEngine(loaded.model, { chatTemplate, slotCount: 1, contextLength: 8192 });
  });
  afterAll(() => engine?.close());

  test('renders tools, and their calls and results', async () => {
    const prompt = await engine.generator.prepareChat(question, { tools, toolChoice: 'required' });
    expect(prompt.tokenCount).toBeGreaterThan(20);
    const answer: ChatMessage = { role: 'assistant', content: 'It is sunny.' };
    const history = [...question, callMessage, result, answer, thanks];
    const text = await engine.generator.renderChat(history, { tools });
    for (const part of ['get_weather', 'Paris', 'sunny', 'Thanks.']) expect(text).toContain(part);
  });

  test('reads a call in its own words', async () => {
    const script = scripts.get(name) ?? (await scriptedCall(engine));
    const prompt = await engine.generator.prepareChat(question, { tools, thinking: false });
    const addon = loadAddon('cpu');
    const reader = new ReplyReader(new addon.ReplyParser(prompt.handle as object));
    const events: EngineEvent[] = [];
    for (let at = 0; at < script.length; at += 7) {
      const text = script.slice(at, at + 7);
      events.push(...(await reader.read([{ type: 'text-delta', text }])));
    }
    const end: EngineEvent = {
      type: 'sequence-end',
      finishReason: 'stop',
      usage: {
        promptTokenCount: 1,
        cachedTokenCount: 0,
        completionTokenCount: 1,
        reasoningTokenCount: 0,
      },
      timings: { queueMs: 0, prefillMs: 0, decodeMs: 0 },
    };
    events.push(...(await reader.read([end])));
    expectCall(events, ['get_weather', called], script);
  });

  test.skipIf(mayWriteBefore.has(name))('writes the one call there is, and reads it', async () => {
    const prompt = await engine.generator.prepareChat(question, {
      tools: [onlyCall],
      toolChoice: 'required',
      parallelToolCalls: false,
      thinking: false,
      ...(alwaysThinking.has(name) && { thinkingBudget: 4 }),
    });
    const events: EngineEvent[] = [];
    const sampling = { seed: 1n };
    for await (const event of engine.generator.generate({ prompt, sampling, maxTokens: 1000 })) {
      events.push(event);
    }
    const written = JSON.stringify(events).slice(0, 2000);
    expectCall(events, ['clock/alarm.set:v2@home', { hour: 7, loud: true }], written);
  });

  test.runIf(isTried)('writes calls whose arguments follow their schema', async () => {
    const parameters = strictParameters;
    const enforced = enforceableSchema(parameters).schema;
    const tool: Tool = { ...tools[0], name: 'get_weather', parameters, enforced };
    const reply = async (seed: number) => {
      const prompt = await engine.generator.prepareChat(question, {
        tools: [tool],
        toolChoice: 'required',
        parallelToolCalls: false,
        thinking: false,
        ...(alwaysThinking.has(name) && { thinkingBudget: 4 }),
      });
      const sampling = { ...noStrayBytes, seed: BigInt(seed) };
      const events: EngineEvent[] = [];
      for await (const event of engine.generator.generate({ prompt, sampling, maxTokens: 800 })) {
        events.push(event);
      }
      return events;
    };
    const check = (events: readonly EngineEvent[]) => {
      const written = JSON.stringify(events).slice(0, 4000);
      const end = events.at(-1);
      if (end?.type === 'sequence-end' && end.finishReason === 'length') return;
      expect(end, written).toMatchObject({ finishReason: 'tool-calls' });
      const text = events
        .map((event) => (event.type === 'tool-call-delta' ? event.arguments : ''))
        .join('');
      expect(Schema.Check(parameters, JSON.parse(text)), text).toBe(true);
      followed.set(name, (followed.get(name) ?? 0) + 1);
    };
    // Random text seldom ends some families' strings in time: then there are more replies.
    for (let first = 0; first < 24 && !followed.has(name); first += 4) {
      const replies = Array.from({ length: 4 }, (_, index) => reply(first + index));
      for (const events of await Promise.all(replies)) check(events);
      if (mayWriteBefore.has(name)) break;
    }
  });

  test.runIf(isTried && !mayWriteBefore.has(name) && !looseBesideCalls.has(name))(
    'replies with the one call, or with the one answer',
    async () => {
      const options = {
        tools: [onlyCall],
        jsonSchema: onlyAnswer,
        parallelToolCalls: false,
        thinking: false,
        ...(alwaysThinking.has(name) && { thinkingBudget: 4 }),
      };
      const prompt = await engine.generator.prepareChat(question, options);
      for (let seed = 0n; seed < 4n; seed++) {
        const events: EngineEvent[] = [];
        const sampling = { temperature: 2, seed };
        for await (const event of engine.generator.generate({
          prompt,
          sampling,
          maxTokens: 1000,
        })) {
          events.push(event);
        }
        const written = JSON.stringify(events).slice(0, 2000);
        const text = events
          .map((event) => (event.type === 'text-delta' ? event.text : ''))
          .join('');
        if (text.trim() === '')
          expectCall(events, ['clock/alarm.set:v2@home', { hour: 7, loud: true }], written);
        else expect(JSON.parse(text), written).toEqual({ answer: 42 });
        kinds.add(text.trim() === '' ? 'call' : 'answer');
      }
    },
  );
});

test('calls of every family have been seen', () => {
  const silent = tried.filter((name) => !followed.has(name) && !mayWriteBefore.has(name));
  expect(silent).toEqual([]);
  console.log(`${[...followed.values()].reduce((sum, count) => sum + count, 0)} calls checked`);
});

test('both kinds of reply have been seen', () => {
  expect(kinds).toEqual(new Set(['call', 'answer']));
});
