/**
 * Every field of a completion that is not a sampling parameter (those have `sampling.test.ts`): absent, valid, at
 * the edges, of a wrong type, out of range. The last tests ask whether a field of the schemas has no row.
 */
import { describe, expect, test } from 'vitest';
import { chatEndingFields } from '../../src/api/chat/chat-ending.ts';
import { ChatCompletionRequest } from '../../src/api/chat/chat-shapes.ts';
import { replyExtraFields } from '../../src/api/fields/reply-extras.ts';
import { replyFormatFields } from '../../src/api/fields/reply-format-fields.ts';
import { samplingFields } from '../../src/api/fields/sampling.ts';
import { tokenRuleFields } from '../../src/api/fields/token-rules.ts';
import { CompletionRequest } from '../../src/api/text/completion-shapes.ts';
import type { EngineRequest } from '../../src/engine/generator.ts';
import type { FakeEngine } from '../support/fake-engine.ts';
import { postChat, postText, reuseGateway } from '../support/start-gateway.ts';

type Body = Record<string, unknown>;

/** A value, and the engine's options it becomes. */
type Taken = readonly [value: unknown, expected: object];

/** A value, and what is wrong with it where that is not the field itself, or more than its value. */
type Refused = readonly [value: unknown, param?: string, code?: string];

interface Row {
  readonly field: string;
  /** Sent along. */
  readonly beside?: Body;
  readonly taken: readonly Taken[];
  readonly wrongType: readonly unknown[];
  readonly outOfRange: readonly Refused[];
}

const unsupported = 'unsupported_parameter';
const missing = 'missing_required_parameter';
const slotCount = 128;

function nested(depth: number): object {
  return JSON.parse(`${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`) as object;
}

const clock = { type: 'function', function: { name: 'clock' } };
const tool = { name: 'clock' };
const named = (name: unknown) => ({ type: 'function', function: { name } });

/** Rows that both endpoints have. */
function sharedRows(): readonly Row[] {
  const limit = (field: string): Row => ({
    field,
    taken: [
      ...[0, 1, 7, 2044, 32_000, 1e30].map((value): Taken => [value, { maxTokens: value }]),
      [-1, {}],
      [-2, {}],
    ],
    wrongType: ['5', true, [], {}],
    outOfRange: [[-3], [1.5]],
  });
  const stops = (field: string): Row => ({
    field,
    taken: [
      ['END', { stop: ['END'] }],
      ['', {}],
      [[], {}],
      [[''], {}],
      [['a', '', 'b', 'a'], { stop: ['a', 'b'] }],
      [
        Array.from({ length: 17 }, (_, index) => `s${index}`),
        { stop: Array.from({ length: 17 }, (_, index) => `s${index}`) },
      ],
      [Array(256).fill('a'), { stop: ['a'] }],
      ['x'.repeat(65_536), { stop: ['x'.repeat(65_536)] }],
    ],
    wrongType: [5, true, {}],
    outOfRange: [[Array(257).fill('a')], ['x'.repeat(65_537)], [[['a']], `${field}[0]`]],
  });
  return [
    limit('max_tokens'),
    limit('max_completion_tokens'),
    limit('max_output_tokens'),
    limit('max_new_tokens'),
    limit('n_predict'),
    limit('num_predict'),
    stops('stop'),
    stops('stop_sequences'),
    {
      field: 'options',
      taken: [
        [{}, {}],
        [{ temperature: 0, num_ctx: 8192, num_keep: 4, use_mmap: true, numa: false }, {}],
        [
          { num_predict: 5, stop: ['a'] },
          { maxTokens: 5, stop: ['a'] },
        ],
        [{ num_predict: null, stop: '', tfs_z: 1 }, {}],
      ],
      wrongType: [5, [], 'x'],
      outOfRange: [
        [{ temperature: 'hot' }, 'options.temperature'],
        [{ stop: 5 }, 'options.stop'],
        [{ tfs_z: 0.5 }, 'options.tfs_z', unsupported],
      ],
    },
    {
      field: 'n',
      taken: [1, 2, slotCount].map((value) => [value, {}]),
      wrongType: ['2', true, []],
      outOfRange: [[0], [-1], [1.5], [slotCount + 1]],
    },
    {
      field: 'service_tier',
      taken: ['auto', 'default', 'flex', 'scale', 'priority', 'standard_only', 'turbo', ''].map(
        (value) => [value, {}],
      ),
      wrongType: [5, true, []],
      outOfRange: [],
    },
    {
      field: 'stream',
      taken: [
        [false, {}],
        [true, {}],
      ],
      wrongType: ['true', 1, []],
      outOfRange: [],
    },
    {
      field: 'stream_options',
      beside: { stream: true },
      taken: [{}, { include_usage: true }, { include_usage: null, include_obfuscation: true }].map(
        (value) => [value, {}],
      ),
      wrongType: [true, [], 'x'],
      outOfRange: [
        [{ include_usage: 1 }, 'stream_options.include_usage'],
        [{ include_obfuscation: 'no' }, 'stream_options.include_obfuscation'],
      ],
    },
    {
      field: 'stream_options',
      taken: [
        [{}, {}],
        [{ include_usage: true }, {}],
      ],
      wrongType: [],
      outOfRange: [],
    },
    {
      field: 'model',
      taken: [
        ['another', {}],
        ['', {}],
      ],
      wrongType: [5, [], true],
      outOfRange: [],
    },
  ];
}

const scoredAll = { logprobs: { topCount: 0, prompt: false } };

const textRows: readonly Row[] = [
  ...sharedRows(),
  {
    field: 'add_special_tokens',
    taken: [[true, {}]],
    wrongType: ['no', 1],
    outOfRange: [],
  },
  {
    field: 'prompt',
    taken: [
      ['a', {}],
      [['a', 'b'], {}],
      [[1, 2], {}],
    ],
    wrongType: [5, true, {}],
    outOfRange: [[[]], [[1.5], 'prompt[0]'], [[[]], 'prompt[0]'], [[[-1]], 'prompt[0][0]']],
  },
  {
    field: 'best_of',
    taken: [
      [1, {}],
      [2, scoredAll],
      [slotCount, scoredAll],
    ],
    wrongType: ['2', true],
    outOfRange: [[0], [1.5], [slotCount + 1]],
  },
  {
    field: 'echo',
    taken: [
      [true, {}],
      [false, {}],
    ],
    wrongType: [1, 'true'],
    outOfRange: [],
  },
  {
    field: 'logprobs',
    taken: [0, 20].map((value) => [value, { logprobs: { topCount: value, prompt: false } }]),
    wrongType: [true, '2'],
    outOfRange: [[-1], [1.5], [21]],
  },
  { field: 'suffix', taken: [['end', {}]], wrongType: [5, []], outOfRange: [] },
];

/** The options include those of `engine.chatOptions`. */
const chatRows: readonly Row[] = [
  ...sharedRows(),
  {
    field: 'logprobs',
    taken: [
      [true, scoredAll],
      [false, {}],
    ],
    wrongType: [1, 'true'],
    outOfRange: [],
  },
  {
    field: 'top_logprobs',
    beside: { logprobs: true },
    taken: [0, 20].map((value) => [value, { logprobs: { topCount: value, prompt: false } }]),
    wrongType: ['2', true],
    outOfRange: [[-1], [1.5], [21]],
  },
  { field: 'top_logprobs', taken: [[0, {}]], wrongType: [], outOfRange: [[1]] },
  {
    field: 'tools',
    taken: [
      [[], {}],
      [[clock], { tools: [tool], toolChoice: 'auto' }],
      [Array(300).fill(clock), { tools: Array(300).fill(tool), toolChoice: 'auto' }],
    ],
    wrongType: [5, {}, 'clock'],
    outOfRange: [
      [[5], 'tools[0]'],
      [[{}], 'tools[0].type', missing],
      [[{ type: 'web_search' }], 'tools[0].type', unsupported],
      [[{ type: 'function' }], 'tools[0].function', missing],
      [[{ type: 'function', function: {} }], 'tools[0].function.name', missing],
      [[named('two words')], 'tools[0].function.name'],
      [[named('x'.repeat(129))], 'tools[0].function.name'],
      [[named('')], 'tools[0].function.name'],
      [[named(5)], 'tools[0].function.name'],
      [[{ type: 'function', function: { name: 'f', strict: 1 } }], 'tools[0].function.strict'],
      [
        [{ type: 'function', function: { name: 'f', description: 5 } }],
        'tools[0].function.description',
      ],
      [
        [{ type: 'function', function: { name: 'f', parameters: nested(65) } }],
        'tools[0].function.parameters',
      ],
    ],
  },
  {
    field: 'tool_choice',
    beside: { tools: [clock] },
    taken: [
      ...['none', 'auto', 'required'].map(
        (value): Taken => [value, { tools: [tool], toolChoice: value }],
      ),
      ...['any', 'required', { type: 'any' }, { type: 'required' }].map(
        (value): Taken => [value, { tools: [tool], toolChoice: 'required' }],
      ),
      ...[
        'clock',
        named('clock'),
        { type: 'function', name: 'clock' },
        { type: 'tool', name: 'clock' },
        { function: { name: 'clock' } },
        { name: 'clock' },
      ].map(
        (value): Taken => [
          value,
          { tools: [tool], toolChoice: 'required', parallelToolCalls: false },
        ],
      ),
      ...[
        { type: 'allowed_tools', mode: 'required', tools: [{ type: 'function', name: 'clock' }] },
        { type: 'allowed_tools', allowed_tools: { mode: 'required', tools: [named('clock')] } },
      ].map((value): Taken => [value, { tools: [tool], toolChoice: 'required' }]),
      [{ type: 'auto' }, { tools: [tool], toolChoice: 'auto' }],
      [{ type: 'none' }, { tools: [tool], toolChoice: 'none' }],
      [
        { type: 'auto', disable_parallel_tool_use: true },
        { tools: [tool], toolChoice: 'auto', parallelToolCalls: false },
      ],
      [
        { type: 'allowed_tools', allowed_tools: { tools: ['clock'] } },
        { tools: [tool], toolChoice: 'auto' },
      ],
      [
        { type: 'allowed_tools', mode: 'auto', tools: [] },
        { tools: [tool], toolChoice: 'none' },
      ],
    ],
    wrongType: [true, [], 5],
    outOfRange: [
      ['maybe'],
      ['__proto__'],
      ['toString'],
      [named('other'), 'tool_choice.function.name'],
      [{ type: 'tool', name: 'other' }, 'tool_choice.name'],
      [{ type: 'function' }, 'tool_choice.function.name', missing],
      [{}, 'tool_choice.function.name', missing],
      [{ type: 'custom' }, 'tool_choice.type', unsupported],
      [{ type: 5 }, 'tool_choice.type', unsupported],
      [{ type: 'allowed_tools' }, 'tool_choice.tools', missing],
      [{ type: 'allowed_tools', tools: [], mode: 'all' }, 'tool_choice.mode', unsupported],
      [
        { type: 'allowed_tools', allowed_tools: { tools: ['clock', 'other'] } },
        'tool_choice.allowed_tools.tools[1]',
      ],
      [
        { type: 'allowed_tools', allowed_tools: { tools: [5] } },
        'tool_choice.allowed_tools.tools[0].function.name',
        missing,
      ],
    ],
  },
  {
    field: 'functions',
    taken: [
      [[], {}],
      [[{ name: 'clock' }], { tools: [tool], toolChoice: 'auto', parallelToolCalls: false }],
    ],
    wrongType: [5, {}, 'clock'],
    outOfRange: [
      [[5], 'functions[0]'],
      [[{}], 'functions[0].name', missing],
      [[{ name: 'two words' }], 'functions[0].name'],
      [[{ name: 'f', parameters: { type: 'string' } }], 'functions[0].parameters.type'],
    ],
  },
  {
    field: 'functions',
    beside: { tools: [clock] },
    taken: [],
    wrongType: [],
    outOfRange: [[[{ name: 'f' }]]],
  },
  {
    field: 'function_call',
    beside: { functions: [{ name: 'clock' }] },
    taken: [
      ...['none', 'auto'].map(
        (value): Taken => [value, { tools: [tool], toolChoice: value, parallelToolCalls: false }],
      ),
      [{ name: 'clock' }, { tools: [tool], toolChoice: 'required', parallelToolCalls: false }],
    ],
    wrongType: [5, true, []],
    outOfRange: [
      [{ name: 'other' }, 'function_call.name'],
      [{}, 'function_call.function.name', missing],
    ],
  },
  {
    field: 'function_call',
    taken: [
      ['none', {}],
      ['auto', {}],
    ],
    wrongType: [],
    outOfRange: [[{ name: 'clock' }]],
  },
  {
    field: 'format',
    taken: [
      ['', {}],
      ['json', { jsonSchema: { type: 'object' } }],
      [{ type: 'integer' }, { jsonSchema: { type: 'integer' } }],
    ],
    wrongType: [5, []],
    outOfRange: [['xml', 'format', unsupported], [nested(65)]],
  },
  {
    field: 'format',
    beside: { grammar: 'root ::= "a"' },
    taken: [],
    wrongType: [],
    outOfRange: [['json']],
  },
  {
    field: 'system',
    taken: [
      ['', {}],
      ['Be brief.', {}],
      [[{ type: 'text', text: 'Be brief.' }], {}],
    ],
    wrongType: [5, {}],
    outOfRange: [
      [[5], 'system[0]'],
      [[{ type: 'image' }], 'system[0].text', missing],
    ],
  },
  {
    field: 'tool_choice',
    taken: [
      ['none', {}],
      ['auto', {}],
    ],
    wrongType: [],
    outOfRange: [['required'], [named('clock')]],
  },
  {
    field: 'parallel_tool_calls',
    beside: { tools: [clock] },
    taken: [true, false].map((value) => [
      value,
      { tools: [tool], toolChoice: 'auto', parallelToolCalls: value },
    ]),
    wrongType: ['yes', 1],
    outOfRange: [],
  },
  {
    field: 'response_format',
    taken: [
      [{ type: 'text' }, {}],
      [{ type: 'json_object' }, { jsonSchema: { type: 'object' } }],
      [
        { type: 'json_schema', json_schema: { name: 'x', schema: { type: 'integer' } } },
        { jsonSchema: { type: 'integer' } },
      ],
    ],
    wrongType: [5, [], 'json'],
    outOfRange: [
      [{}, 'response_format.type', missing],
      [{ type: 'xml' }, 'response_format.type', unsupported],
      [{ type: 5 }, 'response_format.type'],
      [{ type: 'json_schema' }, 'response_format.json_schema', missing],
      [
        { type: 'json_schema', json_schema: { name: 'x' } },
        'response_format.json_schema.schema',
        missing,
      ],
      [
        { type: 'json_schema', json_schema: { name: 'x', schema: nested(65) } },
        'response_format.json_schema.schema',
      ],
    ],
  },
  {
    field: 'json_schema',
    taken: [[{ type: 'boolean' }, { jsonSchema: { type: 'boolean' } }]],
    wrongType: [true, 5, []],
    outOfRange: [[nested(65)]],
  },
  {
    field: 'grammar',
    taken: [
      ['', {}],
      ['root ::= "a"', { grammar: 'root ::= "a"' }],
      ['root ::= "a"'.padEnd(65_536, '\n'), { grammar: 'root ::= "a"'.padEnd(65_536, '\n') }],
    ],
    wrongType: [5, []],
    outOfRange: [['root ::= "a"'.padEnd(65_537, '\n')], ['root ::= (', 'grammar', unsupported]],
  },
  {
    field: 'reasoning_effort',
    taken: [
      ['', {}],
      ...['none', 'off', 'disabled'].map((value): Taken => [value, { thinking: false }]),
      ...['minimal', 'low', 'medium', 'high', 'xhigh', 'max', 'extreme'].map(
        (value): Taken => [
          value,
          { thinking: true, templateArguments: { reasoning_effort: value } },
        ],
      ),
    ],
    wrongType: [5, true],
    outOfRange: [['x'.repeat(65)]],
  },
  ...[
    'thinking_budget_tokens',
    'reasoning_budget_tokens',
    'reasoning_budget',
    'thinking_budget',
    'thinking_token_budget',
  ].map(
    (field): Row => ({
      field,
      taken: [
        ...[0, 5, 2 ** 31 - 1].map((value): Taken => [value, { thinkingBudget: value }]),
        [-1, {}],
      ],
      wrongType: ['5', true],
      outOfRange: [[-2], [1.5], [2 ** 31]],
    }),
  ),
  {
    field: 'enable_thinking',
    taken: [
      [true, { thinking: true }],
      [false, { thinking: false }],
    ],
    wrongType: ['false', 0],
    outOfRange: [],
  },
  {
    field: 'think',
    taken: [
      [true, { thinking: true }],
      [false, { thinking: false }],
      ['', {}],
      ['none', { thinking: false }],
      ['low', { thinking: true, templateArguments: { reasoning_effort: 'low' } }],
    ],
    wrongType: [5, {}],
    outOfRange: [['x'.repeat(65)]],
  },
  {
    field: 'thinking',
    taken: [
      [true, { thinking: true }],
      [false, { thinking: false }],
      [{}, {}],
      [{ type: 'disabled' }, { thinking: false }],
      [{ type: 'enabled' }, { thinking: true }],
      [{ type: 'adaptive' }, {}],
      [{ type: 'auto' }, {}],
      [
        { type: 'enabled', budget_tokens: 7 },
        { thinking: true, thinkingBudget: 7 },
      ],
      [{ budget_tokens: 7 }, { thinking: true, thinkingBudget: 7 }],
    ],
    wrongType: [5, 'enabled', []],
    outOfRange: [
      [{ type: 'deep' }, 'thinking.type'],
      [{ type: 5 }, 'thinking.type'],
      [{ budget_tokens: -2 }, 'thinking.budget_tokens'],
    ],
  },
  {
    field: 'reasoning',
    taken: [
      [{}, {}],
      [{ effort: 'none' }, { thinking: false }],
      [{ effort: 'low' }, { thinking: true, templateArguments: { reasoning_effort: 'low' } }],
      [{ enabled: false }, { thinking: false }],
      [{ enabled: true }, { thinking: true }],
      [{ enabled: null, effort: null, max_tokens: null, exclude: null }, {}],
      [{ max_tokens: 9 }, { thinking: true, thinkingBudget: 9 }],
      [{ max_tokens: 0 }, { thinking: false, thinkingBudget: 0 }],
      [{ exclude: true }, {}],
      [{ summary: 'auto' }, {}],
    ],
    wrongType: [5, 'low', true, []],
    outOfRange: [
      [{ effort: 5 }, 'reasoning.effort'],
      [{ enabled: 'no' }, 'reasoning.enabled'],
      [{ max_tokens: '9' }, 'reasoning.max_tokens'],
      [{ exclude: 1 }, 'reasoning.exclude'],
    ],
  },
  {
    field: 'include_reasoning',
    taken: [
      [true, {}],
      [false, {}],
    ],
    wrongType: ['no', 1],
    outOfRange: [],
  },
  {
    field: 'separate_reasoning',
    taken: [
      [true, {}],
      [false, {}],
    ],
    wrongType: ['no', 1],
    outOfRange: [],
  },
  {
    field: 'reasoning_format',
    taken: ['', 'auto', 'deepseek', 'parsed', 'none', 'raw', 'hidden'].map((value) => [value, {}]),
    wrongType: [5, true],
    outOfRange: [
      ['deepseek-legacy', 'reasoning_format', unsupported],
      ['toString', 'reasoning_format', unsupported],
    ],
  },
  {
    field: 'chat_template_kwargs',
    taken: [
      [{}, {}],
      [{ a: 1 }, { templateArguments: { a: 1 } }],
      [{ enable_thinking: false }, { thinking: false }],
      [{ enable_thinking: null }, {}],
      [{ thinking: false }, { thinking: false, templateArguments: { thinking: false } }],
      [{ thinking: 'on' }, { templateArguments: { thinking: 'on' } }],
      [{ a: nested(63) }, { templateArguments: { a: nested(63) } }],
    ],
    wrongType: ['x', 5, []],
    outOfRange: [
      [{ a: nested(64) }],
      [{ enable_thinking: 1 }, 'chat_template_kwargs.enable_thinking'],
      ...['messages', 'tools', 'bos_token', 'eos_token', 'add_generation_prompt'].map(
        (name): Refused => [{ [name]: 1 }, `chat_template_kwargs.${name}`, unsupported],
      ),
    ],
  },
];

/** The engine's options of the first request, apart from its prompt. */
function engineOptionsOf({ requests, chatOptions }: FakeEngine): object {
  const {
    prompt: _prompt,
    sampling: _sampling,
    cacheScope: _scope,
    ...options
  } = requests[0] as EngineRequest;
  return { ...options, ...chatOptions[0] };
}

const endpoints = [
  ['chats', postChat, chatRows],
  ['text completions', postText, textRows],
] as const;

describe.each(endpoints)('of %s', (_endpoint, post, rows) => {
  const start = () => reuseGateway({ slotCount });

  describe.each(rows)(
    '$field beside $beside',
    ({ field, beside, taken, wrongType, outOfRange }) => {
      test.runIf(taken.length > 0 && field !== 'prompt')(
        'null is as if it was absent',
        async () => {
          const requestOf = async (fields: object) => {
            const { app, engine } = start();
            expect((await post(app, { ...beside, ...fields })).statusCode).toBe(200);
            return engineOptionsOf(engine);
          };
          expect(await requestOf({ [field]: null })).toEqual(await requestOf({}));
        },
      );

      test.each(taken)('%j is taken', async (value, expected) => {
        const { app, engine } = start();
        const reply = await post(app, { ...beside, [field]: value });
        expect(reply.statusCode, reply.body).toBe(200);
        expect(engineOptionsOf(engine)).toEqual(expected);
      });

      const refused = [...wrongType.map((value): Refused => [value]), ...outOfRange];
      test.each(refused)('%j is refused', async (value, param = field, code = 'invalid_value') => {
        const { app, engine } = start();
        const reply = await post(app, { ...beside, [field]: value });
        expect(reply.statusCode).toBe(400);
        expect(reply.json().error).toMatchObject({ type: 'invalid_request_error', code, param });
        expect(engine.requests).toEqual([]);
      });
    },
  );
});

interface NestedRow {
  readonly param: string;
  /** A message with the value in its place. */
  readonly message: (value: unknown) => object;
  readonly taken: readonly unknown[];
  readonly refused: readonly (readonly [value: unknown, code?: string, param?: string])[];
}

const call = (fields: object) => ({
  role: 'assistant',
  content: null,
  tool_calls: [{ id: 'c', type: 'function', function: { name: 'f', arguments: '{}' }, ...fields }],
});
const part = (value: unknown) => ({ role: 'user', content: [value] });

const messageRows: readonly NestedRow[] = [
  {
    param: 'messages[0].role',
    message: (value) => ({ role: value, content: 'x' }),
    taken: ['system', 'developer', 'user', 'assistant'],
    refused: [['king'], [5], [null]],
  },
  {
    param: 'messages[0].content',
    message: (value) => ({ role: 'user', content: value }),
    taken: ['x', '', [], null, [{ type: 'text', text: 'x' }]],
    refused: [[5], [{}], [true], ['\ud800']],
  },
  {
    param: 'messages[0].content[0]',
    message: part,
    taken: [{ type: 'text', text: '' }],
    refused: [
      [5],
      [{ type: 5 }, 'invalid_value', 'messages[0].content[0].type'],
      [{ type: 'text' }, missing, 'messages[0].content[0].text'],
      [{ type: 'text', text: 5 }, 'invalid_value', 'messages[0].content[0].text'],
      [{ type: 'image_url', image_url: { url: 'data:,' } }, unsupported],
      [{ type: 'input_audio', input_audio: {} }, unsupported],
      [{ type: 'file', file: {} }, unsupported],
    ],
  },
  {
    param: 'messages[0].name',
    message: (value) => ({ role: 'user', content: 'x', name: value }),
    taken: ['eve', '', null],
    refused: [[5], [{}]],
  },
  {
    param: 'messages[0].reasoning_content',
    message: (value) => ({ role: 'assistant', content: 'x', reasoning_content: value }),
    taken: ['hm', null],
    refused: [[5], [[]]],
  },
  {
    param: 'messages[0].tool_calls',
    message: (value) => ({ role: 'assistant', content: 'x', tool_calls: value }),
    taken: [null],
    refused: [['x'], [5]],
  },
  {
    param: 'messages[0].tool_calls[0]',
    message: (value) => call(value as object),
    taken: [
      {},
      { type: 'custom' },
      { function: { name: 'f' } },
      ...['[]', '1', 'null', '{'].map((text) => ({ function: { name: 'f', arguments: text } })),
    ],
    refused: [
      [{ id: 5 }, 'invalid_value', 'messages[0].tool_calls[0].id'],
      [{ function: 'f' }, 'invalid_value', 'messages[0].tool_calls[0].function'],
    ],
  },
];

describe.each(messageRows)('$param', ({ param, message, taken, refused }) => {
  test.each(taken.map((value) => [value]))('%j is taken', async (value) => {
    const { app } = reuseGateway();
    const reply = await postChat(app, {
      messages: [message(value), { role: 'user', content: 'x' }],
    });
    expect(reply.statusCode, reply.body).toBe(200);
  });

  test.each(refused)('%j is refused', async (value, code = 'invalid_value', where = param) => {
    const { app, engine } = reuseGateway();
    const reply = await postChat(app, {
      messages: [message(value), { role: 'user', content: 'x' }],
    });
    expect(reply.statusCode, reply.body).toBe(400);
    expect(reply.json().error).toMatchObject({ code, param: where });
    expect(engine.requests).toEqual([]);
  });
});

/** Fields that are not honoured: values that ask for nothing, and one that asks. */
const neutralRows: readonly (readonly [
  field: string,
  neutral: readonly unknown[],
  asks: unknown,
])[] = [
  ['audio', [], {}],
  ['modalities', [['text']], ['audio']],
  ['input', [''], 'x'],
  ['instructions', [''], 'x'],
  ['web_search_options', [], {}],
  ['chat_template', [], 'x'],
  ['grammar_lazy', [false], true],
  ['grammar_triggers', [[]], [{}]],
  ['lora', [[]], [{}]],
  ['system_prompt', [''], 'x'],
  ['context', [[]], [1]],
  ['images', [[]], ['x']],
  ['raw', [false], true],
  ['template', [''], 'x'],
  ['tfs_z', [1], 0.5],
  ['documents', [[]], [{}]],
  ['top_a', [0], 0.2],
  ['transforms', [[]], ['middle-out']],
  ['custom_logit_processor', [], 'x'],
  ['guided_whitespace_pattern', [], ' '],
  ['logits_processors', [[]], ['x']],
  ['n_indent', [0], 4],
  ['post_sampling_probs', [false], true],
  ['repetition_detection', [], {}],
  ['return_hidden_states', [false], true],
  ['stop_regex', [[]], 'x'],
  ['structural_tag', [], {}],
  ['truncate_prompt_tokens', [-1], 5],
  ['use_beam_search', [false], true],
];

describe.each([
  [
    'chats',
    postChat,
    [
      ['best_of', [1], 2],
      ['prompt', [''], 'x'],
      ['suffix', [''], 'x'],
    ],
  ],
  [
    'text completions',
    postText,
    [
      ['chat_template_kwargs', [{}, { enable_thinking: false }], { a: 1 }],
      ['enable_thinking', [false], true],
      ['function_call', ['none', 'auto'], { name: 'f' }],
      ['functions', [[]], [{}]],
      ['include_reasoning', [true, false], 'yes'],
      ['messages', [[]], [{}]],
      ['parallel_tool_calls', [true, false], 'yes'],
      ['reasoning', [{ effort: 'none' }, { enabled: false }], { effort: 'low' }],
      ['reasoning_budget', [-1], 5],
      ['reasoning_effort', ['none'], 'low'],
      ['reasoning_format', ['auto', 'none', 'hidden'], 'deepseek-legacy'],
      ['separate_reasoning', [true, false], 'no'],
      ['system', [''], 'x'],
      ['think', [false], true],
      ['thinking', [false, { type: 'disabled' }], { type: 'enabled' }],
      ['thinking_budget_tokens', [-1], 5],
      ['top_logprobs', [0], 1],
      ['tool_choice', ['none', 'auto'], 'required'],
      ['tools', [[]], [clock]],
    ],
  ],
] as const)('not honoured of %s', (_endpoint, post, others) => {
  test.each([...neutralRows, ...others])('%s', async (field, neutral, asks) => {
    for (const value of [null, ...neutral]) {
      const { app, logLines } = reuseGateway();
      expect((await post(app, { [field]: value })).statusCode).toBe(200);
      expect(logLines).not.toContainEqual(
        expect.objectContaining({ msg: 'unknown fields ignored' }),
      );
    }
    const { app, engine } = reuseGateway();
    const reply = await post(app, { [field]: asks });
    expect(reply.statusCode).toBe(400);
    expect(reply.json().error).toMatchObject({ code: unsupported, param: field });
    expect(engine.requests).toEqual([]);
  });
});

test.each([
  ['chats', ChatCompletionRequest, chatRows, ['messages']],
  ['text completions', CompletionRequest, textRows, []],
] as const)('every field of %s has a row', (_endpoint, schema, rows, elsewhere) => {
  const tried = new Set<string>([
    ...rows.map(({ field }) => field),
    ...Object.keys(samplingFields),
    // These have tests of their own: token-rules, reply-extras, structured-outputs.
    ...Object.keys({ ...tokenRuleFields, ...replyExtraFields, ...replyFormatFields }),
    ...Object.keys(chatEndingFields),
    ...['priority', 'cache_salt'],
    ...elsewhere,
  ]);
  expect(Object.keys(schema.properties).filter((name) => !tried.has(name))).toEqual([]);
});

/** Fields that are no part of the prompt, and hints. */
test.each([
  { prediction: { type: 'content', content: 'x' } },
  { verbosity: 'low' },
  { verbosity: 'chatty' },
  { num_ctx: 8192, keep_alive: '5m', num_keep: 4, use_mmap: true },
  { store: true, metadata: {}, user: 'x', safety_identifier: 'x', prompt_cache_key: 'x' },
])('%j is a hint', async (fields) => {
  const { app, engine, logLines } = reuseGateway();
  expect((await postChat(app, fields)).statusCode).toBe(200);
  expect(engineOptionsOf(engine)).toEqual({});
  const unknown = Object.keys(fields).filter((name) => /^(num|keep|use)_/.test(name));
  const lines = logLines.filter(({ msg }) => msg === 'unknown fields ignored');
  expect(lines.map((line) => line.fields)).toEqual(unknown.length > 0 ? [unknown] : []);
});

describe('of several names of one field', () => {
  test.each<[Body, number | undefined]>([
    [{ max_completion_tokens: 1, max_tokens: 2, max_new_tokens: 3, n_predict: 4 }, 1],
    [{ max_tokens: 2, max_new_tokens: 3, n_predict: 4, num_predict: 5 }, 2],
    [{ max_completion_tokens: null, max_new_tokens: 3, n_predict: 4 }, 3],
    [{ n_predict: 4, num_predict: 5 }, 4],
    [{ num_predict: 5, options: { num_predict: 6 } }, 5],
    [{ max_tokens: 2, options: { num_predict: 6 } }, 2],
    [{ num_predict: null, options: { num_predict: 6 } }, 6],
    [{ max_tokens: -1, n_predict: 5 }, undefined],
  ])('%j the first counts', async (fields, expected) => {
    const { app, engine } = reuseGateway();
    expect((await postChat(app, fields)).statusCode).toBe(200);
    expect(engine.requests[0]?.maxTokens).toBe(expected);
  });

  test('both kinds of stops count', async () => {
    const { app, engine } = reuseGateway();
    await postChat(app, { stop: 'a', stop_sequences: ['b', 'a'] });
    expect(engine.requests[0]?.stop).toEqual(['a', 'b']);
  });
});

test('options are sampling fields, and a field of the body overrides the option of its name', async () => {
  const { app, engine, logLines } = reuseGateway();
  const options = { temperature: 0.2, top_p: 0.5, repeat_last_n: -1, num_ctx: 9, seed: 7 };
  await postText(app, { options, temperature: 0, top_p: null });
  expect(engine.requests[0]?.sampling).toEqual({
    temperature: 0,
    topP: 0.5,
    repeatLastN: 65_536,
    seed: 7n,
  });
  expect(logLines).toContainEqual(expect.objectContaining({ fields: ['options.num_ctx'] }));
});

test.each([
  ['flex', 'flex'],
  ['standard_only', 'default'],
  ['turbo', 'default'],
])('the tier %s is answered as %s', async (asked, answered) => {
  const { app } = reuseGateway();
  expect((await postChat(app, { service_tier: asked })).json().service_tier).toBe(answered);
});

describe('of the switches of reasoning', () => {
  const kwargs = (fields: Body) => ({ chat_template_kwargs: fields });
  test.each<[Body, object]>([
    [{ ...kwargs({ enable_thinking: true }), enable_thinking: false }, { thinking: true }],
    [{ enable_thinking: true, think: false, reasoning_effort: 'none' }, { thinking: true }],
    [{ think: false, thinking: { type: 'enabled' } }, { thinking: false }],
    [{ thinking: { type: 'disabled' }, reasoning: { enabled: true } }, { thinking: false }],
    [{ thinking: { type: 'auto' }, reasoning: { enabled: false } }, { thinking: false }],
    [
      { reasoning: { enabled: false, effort: 'high' } },
      { thinking: false, templateArguments: { reasoning_effort: 'high' } },
    ],
    [
      { reasoning_effort: 'low', reasoning: { effort: 'none' } },
      { thinking: true, templateArguments: { reasoning_effort: 'low' } },
    ],
    [{ reasoning: { effort: 'none', max_tokens: 5 } }, { thinking: false, thinkingBudget: 5 }],
    [
      { ...kwargs({ reasoning_effort: 'mine' }), reasoning_effort: 'high' },
      { thinking: true, templateArguments: { reasoning_effort: 'mine' } },
    ],
    [
      { thinking_budget_tokens: 1, thinking: { budget_tokens: 2 } },
      { thinking: true, thinkingBudget: 1 },
    ],
  ])('%j the first counts', async (fields, expected) => {
    const { app, engine } = reuseGateway();
    expect((await postChat(app, fields)).statusCode).toBe(200);
    expect(engineOptionsOf(engine)).toEqual(expected);
  });
});

test.each<[unknown, string | undefined]>([
  ['Be brief.', 'Be brief.'],
  [[{ type: 'text', text: 'Be' }, { text: 'brief.' }], 'Be\nbrief.'],
  ['', undefined],
  [[], undefined],
  [null, undefined],
])('the system message %j comes first', async (system, content) => {
  const { app, engine } = reuseGateway();
  await postChat(app, { system });
  const first = content === undefined ? [] : [{ role: 'system', content }];
  expect(engine.preparedChats[0]).toEqual([...first, { role: 'user', content: 'Tell a story' }]);
});

test('of several tools the allowed ones are offered', async () => {
  const { app, engine } = reuseGateway();
  const tools = ['a', 'b', 'c'].map(named);
  const allowed_tools = { mode: 'required', tools: [named('c'), named('a')] };
  await postChat(app, { tools, tool_choice: { type: 'allowed_tools', allowed_tools } });
  expect(engine.chatOptions[0]).toEqual({
    tools: [{ name: 'a' }, { name: 'c' }],
    toolChoice: 'required',
  });
});
