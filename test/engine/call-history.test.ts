/**
 * Calls and results in the history of a chat, in every state in which clients keep them, on every chat template in
 * llama.cpp's source: each name, argument, result and text is in the prompt.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readMessages } from '../../src/api/chat/chat-messages.ts';
import type { RequestMessage } from '../../src/api/chat/chat-shapes.ts';
import { RequestProblems } from '../../src/api/fields/request-problems.ts';
import type { ChatMessage, Tool } from '../../src/engine/chat.ts';
import type { GeneratingEngine } from '../../src/engine/engine.ts';
import { type LoadedModel, loadModel, startEngine } from '../../tools/fixtures/start-engine.ts';
import { templateNames, templateSource } from '../../tools/fixtures/template-sources.ts';
import { isLong } from '../support/long.ts';

/** Messages as a request sends them, read as the server reads them. */
function read(messages: readonly Message[]): ChatMessage[] {
  const problems = new RequestProblems();
  const chat = readMessages(messages as RequestMessage[], problems);
  problems.throwIfAny();
  return chat;
}

type Message = Omit<RequestMessage, 'role'> & { readonly role: RequestMessage['role'] };

const tools: readonly Tool[] = [
  {
    name: 'get_weather',
    description: 'The weather of a city',
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  },
];
const user = (content: string): Message => ({ role: 'user', content });
const says = (content: string): Message => ({ role: 'assistant', content });
const calls = (content: string | null, ...ids: (string | undefined)[]): Message => ({
  role: 'assistant',
  content,
  tool_calls: ids.map((id) => ({
    ...(id !== undefined && { id }),
    type: 'function',
    // Names, arguments and results are found by the id they belong to.
    function: { name: `tool${word(id)}`, arguments: `{"name${word(id)}":"value${word(id)}"}` },
  })),
});
const result = (id: string | undefined): Message => ({
  role: 'tool',
  content: `result${word(id)}`,
  ...(id !== undefined && { tool_call_id: id }),
});
const word = (id: string | undefined) => (id ?? 'none').replace(/[^a-zA-Z0-9]/g, '').slice(-6);

/** Every word of the messages that a prompt has to have. */
function wordsOf(messages: readonly Message[]): string[] {
  return messages.flatMap(({ content, tool_calls: made }) => [
    ...(typeof content === 'string' && content !== '' ? [content] : []),
    ...(made ?? []).flatMap(({ function: called }) => {
      const { name, arguments: text } = called ?? { name: '' };
      return [name, ...String(text).split(/[^a-zA-Z0-9]+/)].filter((each) => each !== '');
    }),
  ]);
}

/** Two turns with a call and its result, begun by a server whose ids look like `id`. */
const begunElsewhere = (id: string): Message[] => [
  user('question1'),
  calls(null, `${id}1`),
  result(`${id}1`),
  says('answer1'),
  user('question2'),
  calls('', `${id}2`),
  result(`${id}2`),
];

const conversations: Readonly<Record<string, readonly Message[]>> = {
  'ids of OpenAI': begunElsewhere('call_abcdefghijklmnopqrstuvw'),
  'ids of Anthropic': begunElsewhere('toolu_01ABCDEFGHIJKLMNOPQRSTU'),
  'ids of vLLM': begunElsewhere('chatcmpl-tool-0123456789abcdef0123456789abcde'),
  'ids that are numbers': begunElsewhere(''),
  'ids that are UUIDs': begunElsewhere('123e4567-e89b-12d3-a456-42661417400'),
  'ids of Kimi': begunElsewhere('functions.get_weather:'),
  'the same id in each turn': [
    user('question1'),
    calls(null, '0'),
    result('0'),
    says('answer1'),
    user('question2'),
    calls(null, '0'),
    result('0'),
  ],
  'no ids': [user('question1'), calls(null, undefined), result(undefined)],
  'text beside a call': [
    user('question1'),
    calls('text1', 'a'),
    result('a'),
    says('answer1'),
    user('question2'),
  ],
  'two calls with a text, results in another order': [
    user('question1'),
    calls('text1', 'a', 'b'),
    result('b'),
    result('a'),
    says('answer1'),
    user('question2'),
  ],
  'two calls without an answer': [
    user('question1'),
    calls(null, 'a', 'b'),
    result('a'),
    result('b'),
  ],
  'one call after another': [
    user('question1'),
    calls(null, 'a'),
    result('a'),
    calls(null, 'b'),
    result('b'),
  ],
  'a result without its call': [user('question1'), result('a'), says('answer1'), user('question2')],
  'a result before all else': [result('a'), user('question2')],
  'a call without a result': [user('question1'), calls(null, 'a'), user('question2')],
  'a call at the end': [user('question1'), calls(null, 'a')],
  'one result of two': [user('question1'), calls(null, 'a', 'b'), result('b'), user('question2')],
  'a question behind a result': [
    user('question1'),
    calls(null, 'a'),
    result('a'),
    user('question2'),
  ],
  'a question before a result': [
    user('question1'),
    calls(null, 'a'),
    user('question2'),
    result('a'),
  ],
};

/** Arguments that no template expects, and what a prompt has to have of them. */
const argumentTexts: readonly (readonly [sent: unknown, shown: string])[] = [
  ['{"city": "Par', 'Par'],
  ['{', '{'],
  ['Paris', 'Paris'],
  ['["Paris"]', 'Paris'],
  ['null', ''],
  ['', ''],
  ['{"city": "Paris"}{}', 'Paris'],
  ["{'city': 'Paris'}", 'Paris'],
  ['{"city": "Paris\nFrance"}', 'France'],
  [{ city: 'Paris' }, 'Paris'],
  ['"{\\"city\\": \\"Paris\\"}"', 'Paris'],
  ['{"distance": 1e999}', '1e999'],
  [`${'{"Paris":'.repeat(100)}1${'}'.repeat(100)}`, 'Paris'],
  ['{"__proto__": "Paris"}', '__proto__'],
];

/** One family for each way to show arguments. */
const argumentFamilies = [
  'GLM-4.6',
  'Kimi-K3',
  'LFM2-8B-A1B',
  'Qwen-Qwen2.5-7B-Instruct',
  'Qwen3-Coder',
  'Spark2.5',
  'deepseek-ai-DeepSeek-V3.1',
  'google-gemma-4-31B-it',
  'meta-llama-Llama-3.1-8B-Instruct',
  'mistralai-Mistral-Nemo-Instruct-2407',
  'muse-glimmer',
  'openai-gpt-oss-120b',
];

let loaded: LoadedModel;
beforeAll(async () => {
  loaded = await loadModel({ contextLength: 8192 });
});
afterAll(() => loaded.dispose());

const tried = templateNames().filter(
  (name, index) => isLong || index % 12 === 0 || argumentFamilies.indexOf(name) % 2 === 0,
);

describe.each(tried)('%s', (name) => {
  let engine: GeneratingEngine;
  beforeAll(async () => {
    const chatTemplate = templateSource(name);
    engine = await startEngine(loaded.model, { chatTemplate, slotCount: 1, contextLength: 8192 });
  });
  afterAll(() => engine?.close());
  const render = (messages: readonly Message[], options = {}) =>
    engine.generator.renderChat(read(messages), options);

  test.each(Object.keys(conversations))('shows %s', async (kind) => {
    const messages = conversations[kind] ?? [];
    const words = wordsOf(messages);
    for (const options of [{}, { tools }, { tools, parallelToolCalls: false }]) {
      const prompt = await render(messages, options);
      expect(
        words.filter((each) => !prompt.includes(each)),
        prompt,
      ).toEqual([]);
    }
  });

  test('takes a conversation that another server began', async () => {
    const messages = read(begunElsewhere('call_abcdefghijklmnopqrstuvw'));
    for (const toolChoice of ['auto', 'none', 'required'] as const) {
      const prompt = await engine.generator.prepareChat(messages, { tools, toolChoice });
      expect(prompt.tokenCount).toBeGreaterThan(20);
    }
  });

  test.runIf(argumentFamilies.includes(name)).each(argumentTexts)(
    'shows the arguments %j',
    async (sent, shown) => {
      const prompt = await render(
        [
          user('question1'),
          {
            role: 'assistant',
            content: null,
            tool_calls: [{ id: 'a', function: { name: 'toola', arguments: sent } }],
          },
          result('a'),
          says('answer1'),
          user('question2'),
        ],
        { tools },
      );
      const words = ['question1', 'toola', shown, 'resulta', 'answer1', 'question2'];
      expect(
        words.filter((each) => !prompt.includes(each)),
        prompt,
      ).toEqual([]);
    },
  );
});

test('ids that a template refuses become short ones, equal in each turn', async () => {
  const chatTemplate = templateSource('mistralai-Mistral-Nemo-Instruct-2407');
  const engine = await startEngine(loaded.model, { chatTemplate, slotCount: 1 });
  try {
    const messages = begunElsewhere('toolu_01ABCDEFGHIJKLMNOPQRSTU');
    const turns = [messages.slice(0, 3), messages].map((each) =>
      engine.generator.renderChat(read(each)),
    );
    const [first = '', both = ''] = await Promise.all(turns);
    const ids = (prompt: string) =>
      [...prompt.matchAll(/"(?:call_)?id": "([^"]*)"/g)].map((match) => match[1]);
    const [one, two] = [ids(first), ids(both)];
    expect(two).toHaveLength(4);
    for (const id of two) expect(id).toMatch(/^[0-9A-Za-z]{9}$/);
    expect(two).toEqual([one[0], one[0], two[2], two[2]]);
    expect(two[2]).not.toBe(two[0]);
    const own = read(begunElsewhere('ourIds00'));
    expect(ids(await engine.generator.renderChat(own))).toEqual(
      ['ourIds001', 'ourIds002'].flatMap((id) => [id, id]),
    );
  } finally {
    await engine.close();
  }
});
