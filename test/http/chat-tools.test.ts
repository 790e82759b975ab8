import Schema from 'typebox/schema';
import { describe, expect, test } from 'vitest';
import { ChatCompletion, ChatCompletionChunk } from '../../src/api/chat/chat-shapes.ts';
import type { FakeScript } from '../support/fake-engine.ts';
import { parseSse } from '../support/read-sse.ts';
import { postChat, startGateway } from '../support/start-gateway.ts';

const weather = {
  type: 'function',
  function: {
    name: 'get_weather',
    description: 'The weather of a city',
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  },
} as const;
const clock = { type: 'function', function: { name: 'get_time' } } as const;

const calling: FakeScript['parts'] = [
  { type: 'reasoning-delta', text: 'I look ' },
  { type: 'reasoning-delta', text: 'it up.' },
  { type: 'tool-call', index: 0, id: 'call_1', name: 'get_weather' },
  { type: 'tool-call-delta', index: 0, arguments: '{"city":' },
  { type: 'tool-call-delta', index: 0, arguments: '"Oslo"}' },
  { type: 'tool-call', index: 1, id: 'call_2', name: 'get_time' },
  { type: 'tool-call-delta', index: 1, arguments: '{}' },
];

describe('a reply with calls', () => {
  test('has them beside null content, and its reasoning under both names', async () => {
    const { app, engine } = startGateway();
    engine.script.parts = calling;
    engine.script.finishReason = 'tool-calls';

    const reply = await postChat(app, { tools: [weather, clock] });

    expect(reply.statusCode).toBe(200);
    expect(Schema.Check(ChatCompletion, reply.json())).toBe(true);
    expect(reply.json().choices).toEqual([
      {
        index: 0,
        message: {
          role: 'assistant',
          content: null,
          refusal: null,
          reasoning_content: 'I look it up.',
          tool_calls: [
            {
              id: 'call_1',
              type: 'function',
              function: { name: 'get_weather', arguments: '{"city":"Oslo"}' },
            },
            { id: 'call_2', type: 'function', function: { name: 'get_time', arguments: '{}' } },
          ],
        },
        logprobs: null,
        finish_reason: 'tool_calls',
      },
    ]);
  });

  test('streams the name first, then pieces of the arguments', async () => {
    const { app, engine } = startGateway();
    engine.script.parts = ['Hm.', ...calling];
    engine.script.finishReason = 'tool-calls';

    const reply = await postChat(app, { tools: [weather, clock], stream: true });

    const chunks = parseSse(reply.body).flatMap((frame) => (frame === 'done' ? [] : [frame.json]));
    for (const chunk of chunks) expect(Schema.Check(ChatCompletionChunk, chunk)).toBe(true);
    const choices = chunks.map((chunk) => (chunk as ChatCompletionChunk).choices[0]);
    expect(choices.map((choice) => choice?.delta)).toEqual([
      { role: 'assistant', content: '', refusal: null },
      { content: 'Hm.' },
      { reasoning_content: 'I look ' },
      { reasoning_content: 'it up.' },
      {
        tool_calls: [
          {
            index: 0,
            id: 'call_1',
            type: 'function',
            function: { name: 'get_weather', arguments: '' },
          },
        ],
      },
      { tool_calls: [{ index: 0, function: { arguments: '{"city":' } }] },
      { tool_calls: [{ index: 0, function: { arguments: '"Oslo"}' } }] },
      {
        tool_calls: [
          {
            index: 1,
            id: 'call_2',
            type: 'function',
            function: { name: 'get_time', arguments: '' },
          },
        ],
      },
      { tool_calls: [{ index: 1, function: { arguments: '{}' } }] },
      {},
    ]);
    expect(choices.at(-1)?.finish_reason).toBe('tool_calls');
  });
});

describe('what reaches the engine', () => {
  const tools = [
    {
      name: 'get_weather',
      description: 'The weather of a city',
      parameters: weather.function.parameters,
    },
    { name: 'get_time' },
  ];

  test.each([
    [{ tools: [] }, {}],
    [{ tools: [], tool_choice: 'auto' }, {}],
    [{ tool_choice: 'none' }, {}],
    [{ tools: [weather, clock] }, { tools, toolChoice: 'auto' }],
    [
      { tools: [weather, clock], tool_choice: null },
      { tools, toolChoice: 'auto' },
    ],
    [
      { tools: [weather, clock], tool_choice: 'none' },
      { tools, toolChoice: 'none' },
    ],
    [
      { tools: [weather, clock], tool_choice: 'required' },
      { tools, toolChoice: 'required' },
    ],
    [
      {
        tools: [weather, clock],
        tool_choice: { type: 'function', function: { name: 'get_time' } },
      },
      { tools: [tools[1]], toolChoice: 'required', parallelToolCalls: false },
    ],
    [
      {
        tools: [weather, clock],
        tool_choice: { type: 'function', function: { name: 'get_time' } },
        parallel_tool_calls: true,
      },
      { tools: [tools[1]], toolChoice: 'required', parallelToolCalls: true },
    ],
    [
      { tools: [clock], parallel_tool_calls: false },
      { tools: [tools[1]], toolChoice: 'auto', parallelToolCalls: false },
    ],
    [{ tools: Array(500).fill(clock) }, { tools: Array(500).fill(tools[1]), toolChoice: 'auto' }],
    [
      { tools: [{ type: 'function', function: { name: 'mcp:github/repos.list@v2' } }] },
      { tools: [{ name: 'mcp:github/repos.list@v2' }], toolChoice: 'auto' },
    ],
    [
      {
        tools: [
          {
            type: 'function',
            function: { name: 'f', parameters: { type: 'object', properties: { a: true } } },
          },
        ],
      },
      {
        tools: [
          {
            name: 'f',
            parameters: { type: 'object', properties: { a: true } },
            enforced: { type: 'object', properties: { a: {} } },
          },
        ],
        toolChoice: 'auto',
      },
    ],
    [{ parallel_tool_calls: true }, {}],
    [{ reasoning_effort: 'none' }, { thinking: false }],
    [
      { reasoning_effort: 'high' },
      { thinking: true, templateArguments: { reasoning_effort: 'high' } },
    ],
    [{ chat_template_kwargs: { enable_thinking: true } }, { thinking: true }],
    [
      {
        reasoning_effort: 'low',
        chat_template_kwargs: { enable_thinking: false, tone: { of: ['x'] } },
      },
      { thinking: false, templateArguments: { reasoning_effort: 'low', tone: { of: ['x'] } } },
    ],
    [{ thinking_budget_tokens: 0 }, { thinkingBudget: 0 }],
  ])('of %j', async (fields, expected) => {
    const { app, engine } = startGateway();
    const reply = await postChat(app, fields);
    expect(reply.statusCode).toBe(200);
    expect(engine.chatOptions).toEqual([expected]);
  });

  test('of a history with calls and results: their ids, and the tool a result is of', async () => {
    const { app, engine } = startGateway();
    const reply = await postChat(app, {
      messages: [
        { role: 'user', content: 'Weather?' },
        {
          role: 'assistant',
          content: null,
          reasoning_content: 'Look it up.',
          tool_calls: [
            { id: 'a', type: 'function', function: { name: 'get_weather', arguments: '{"x":1}' } },
            { id: 'b', type: 'function', function: { name: 'get_time', arguments: '' } },
          ],
        },
        { role: 'tool', tool_call_id: 'b', content: 'noon' },
        { role: 'tool', tool_call_id: 'a', name: 'own', content: 'sun' },
        { role: 'assistant', content: 'Sun.', reasoning: 'Said.' },
      ],
    });
    expect(reply.statusCode).toBe(200);
    expect(engine.preparedChats[0]?.slice(1)).toEqual([
      {
        role: 'assistant',
        content: '',
        reasoning_content: 'Look it up.',
        tool_calls: [
          { id: 'a', type: 'function', function: { name: 'get_weather', arguments: '{"x":1}' } },
          { id: 'b', type: 'function', function: { name: 'get_time', arguments: '{}' } },
        ],
      },
      { role: 'tool', content: 'sun', tool_call_id: 'a', name: 'own' },
      { role: 'tool', content: 'noon', tool_call_id: 'b', name: 'get_time' },
      { role: 'assistant', content: 'Sun.', reasoning_content: 'Said.' },
    ]);
  });
});

describe('what is refused', () => {
  const call = { id: 'a', type: 'function', function: { name: 'f', arguments: '{}' } };
  const deep = JSON.parse(`${'{"a":'.repeat(70)}1${'}'.repeat(70)}`) as object;

  test.each([
    [{ tools: 'x' }, 'tools', 'invalid_value'],
    [
      { tools: [{ type: 'function', function: { name: 'x'.repeat(129) } }] },
      'tools[0].function.name',
      'invalid_value',
    ],
    [{ tools: [{ type: 'custom', custom: {} }] }, 'tools[0].type', 'unsupported_parameter'],
    [{ tools: [clock, {}] }, 'tools[1].type', 'missing_required_parameter'],
    [{ tools: [{ type: 'function' }] }, 'tools[0].function', 'missing_required_parameter'],
    [
      { tools: [{ type: 'function', function: {} }] },
      'tools[0].function.name',
      'missing_required_parameter',
    ],
    [
      { tools: [{ type: 'function', function: { name: 'two words' } }] },
      'tools[0].function.name',
      'invalid_value',
    ],
    [
      { tools: [{ type: 'function', function: { name: 'f', parameters: 'x' } }] },
      'tools[0].function.parameters',
      'invalid_value',
    ],
    [
      { tools: [{ type: 'function', function: { name: 'f', parameters: { type: 'string' } } }] },
      'tools[0].function.parameters.type',
      'invalid_value',
    ],
    [
      { tools: [{ type: 'function', function: { name: 'f', parameters: deep } }] },
      'tools[0].function.parameters',
      'invalid_value',
    ],
    [{ tool_choice: 'required' }, 'tool_choice', 'invalid_value'],
    [{ tools: [clock], tool_choice: 'always' }, 'tool_choice', 'invalid_value'],
    [{ tools: [clock], tool_choice: 5 }, 'tool_choice', 'invalid_value'],
    [
      { tools: [clock], tool_choice: { type: 'allowed_tools' } },
      'tool_choice.tools',
      'missing_required_parameter',
    ],
    [
      { tools: [clock], tool_choice: { type: 'function' } },
      'tool_choice.function.name',
      'missing_required_parameter',
    ],
    [
      { tools: [clock], tool_choice: { type: 'function', function: { name: 'f' } } },
      'tool_choice.function.name',
      'invalid_value',
    ],
    [{ parallel_tool_calls: 'yes' }, 'parallel_tool_calls', 'invalid_value'],
    [{ reasoning_effort: 5 }, 'reasoning_effort', 'invalid_value'],
    [{ thinking_budget_tokens: -2 }, 'thinking_budget_tokens', 'invalid_value'],
    [{ chat_template_kwargs: [] }, 'chat_template_kwargs', 'invalid_value'],
    [{ chat_template_kwargs: { deep } }, 'chat_template_kwargs', 'invalid_value'],
    [
      { chat_template_kwargs: { enable_thinking: 'true' } },
      'chat_template_kwargs.enable_thinking',
      'invalid_value',
    ],
    [
      { chat_template_kwargs: { messages: [] } },
      'chat_template_kwargs.messages',
      'unsupported_parameter',
    ],
    [
      { messages: [{ role: 'user', content: 'x', tool_calls: [call] }] },
      'messages[0].tool_calls',
      'invalid_value',
    ],
    [
      { messages: [{ role: 'assistant', tool_calls: [{ ...call, id: 5 }] }] },
      'messages[0].tool_calls[0].id',
      'invalid_value',
    ],
    [
      { messages: [{ role: 'assistant', tool_calls: [call, { id: 'b' }] }] },
      'messages[0].tool_calls[1].function',
      'missing_required_parameter',
    ],
    [
      { messages: [{ role: 'assistant', tool_calls: [{ ...call, function: {} }] }] },
      'messages[0].tool_calls[0].function.name',
      'missing_required_parameter',
    ],
  ])('%j: %s', async (fields, param, code) => {
    const { app, engine } = startGateway();
    const reply = await postChat(app, fields);
    expect(reply.statusCode).toBe(400);
    expect(reply.json().error).toMatchObject({ param, code });
    expect(reply.json().error.message).toContain(param);
    expect(engine.chatOptions).toEqual([]);
  });

  test('tools, where the template has no place for them, unless none is to be called', async () => {
    const { app, engine } = startGateway();
    Object.assign(engine.info.chat, { tools: false });
    const reply = await postChat(app, { tools: [clock] });
    expect(reply.statusCode).toBe(400);
    expect(reply.json().error).toMatchObject({ param: 'tools', code: 'unsupported_parameter' });
    expect((await postChat(app, { tools: [clock], tool_choice: 'none' })).statusCode).toBe(200);
  });
});
