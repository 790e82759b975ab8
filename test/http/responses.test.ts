import Schema from 'typebox/schema';
import { describe, expect, test } from 'vitest';
import { ResponseObject, ResponseStreamEvent } from '../../src/api/responses/response-object.ts';
import { GatewayError } from '../../src/core/errors.ts';
import type { FakeScript } from '../support/fake-engine.ts';
import { parseNamedSse } from '../support/read-sse.ts';
import { card, reuseGateway, startGateway, type TestGateway } from '../support/start-gateway.ts';

const url = '/v1/responses';

function post(app: TestGateway['app'], fields: object = {}) {
  return app.inject({
    ...{ method: 'POST', url },
    payload: { model: card.id, input: 'Tell a story', ...fields },
  });
}

const weather = {
  type: 'function',
  name: 'get_weather',
  description: 'The weather of a city',
  parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  strict: true,
};

const calling: FakeScript['parts'] = [
  { type: 'reasoning-delta', text: 'I look ' },
  { type: 'reasoning-delta', text: 'it up.' },
  'One ',
  'moment.',
  { type: 'tool-call', index: 0, id: 'call_1', name: 'get_weather' },
  { type: 'tool-call-delta', index: 0, arguments: '{"city":' },
  { type: 'tool-call-delta', index: 0, arguments: '"Oslo"}' },
];

/** A response with one text. */
const whole = {
  id: expect.stringMatching(/^resp_[0-9a-f]{32}$/),
  object: 'response',
  created_at: expect.any(Number),
  completed_at: expect.any(Number),
  status: 'completed',
  incomplete_details: null,
  model: card.id,
  previous_response_id: null,
  instructions: null,
  output: [
    {
      type: 'message',
      id: expect.stringMatching(/^msg_/),
      role: 'assistant',
      status: 'completed',
      content: [{ type: 'output_text', text: 'Hello world', annotations: [], logprobs: [] }],
    },
  ],
  error: null,
  tools: [],
  tool_choice: 'auto',
  truncation: 'disabled',
  parallel_tool_calls: true,
  text: { format: { type: 'text' } },
  top_p: 1,
  presence_penalty: 0,
  frequency_penalty: 0,
  top_logprobs: 0,
  temperature: 0.8,
  reasoning: { effort: null, summary: null },
  user: null,
  usage: {
    input_tokens: 3,
    input_tokens_details: { cached_tokens: 0, cache_write_tokens: 0 },
    output_tokens: 2,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: 5,
  },
  max_output_tokens: null,
  max_tool_calls: null,
  store: false,
  background: false,
  service_tier: 'default',
  metadata: {},
  safety_identifier: null,
  prompt_cache_key: null,
};

describe('a response', () => {
  test('has all fields of the reference', async () => {
    const { app } = startGateway();
    const reply = await post(app);
    expect(reply.statusCode, reply.body).toBe(200);
    expect(Schema.Check(ResponseObject, reply.json())).toBe(true);
    expect(reply.json()).toEqual(whole);
    expect(Object.keys(reply.json())).toHaveLength(32);
  });

  test('repeats what the request says', async () => {
    const { app } = startGateway();
    const fields = {
      instructions: 'Be brief.',
      tools: [weather],
      tool_choice: 'required',
      truncation: 'auto',
      parallel_tool_calls: false,
      text: { format: { type: 'json_object' }, verbosity: 'low' },
      temperature: 0.5,
      reasoning: { effort: 'low', summary: 'auto' },
      user: 'u',
      max_output_tokens: 50,
      max_tool_calls: 2,
      service_tier: 'flex',
      metadata: { a: 'b' },
      safety_identifier: 's',
      prompt_cache_key: 'k',
    };
    expect((await post(app, fields)).json()).toMatchObject(fields);
  });

  test('has reasoning, text and calls as items in their order', async () => {
    const { app, engine } = startGateway();
    Object.assign(engine.script, { parts: calling, finishReason: 'tool-calls' });
    const include = ['reasoning.encrypted_content'];

    const { output } = (await post(app, { tools: [weather], include })).json();

    expect(output).toEqual([
      {
        ...{ type: 'reasoning', id: expect.stringMatching(/^rs_/), summary: [] },
        content: [{ type: 'reasoning_text', text: 'I look it up.' }],
        encrypted_content: expect.any(String),
        status: 'completed',
      },
      expect.objectContaining({ type: 'message' }),
      {
        ...{ type: 'function_call', id: expect.stringMatching(/^fc_/), call_id: 'call_1' },
        ...{ name: 'get_weather', arguments: '{"city":"Oslo"}', status: 'completed' },
      },
    ]);

    const [reasoning, ...others] = output;
    const sealed = { type: 'reasoning', id: reasoning.id, summary: [] };
    await post(app, {
      input: [
        { role: 'user', content: 'Weather?' },
        { ...sealed, encrypted_content: reasoning.encrypted_content },
        ...others,
        { type: 'function_call_output', call_id: 'call_1', output: 'Sun' },
      ],
    });
    expect(engine.preparedChats.at(-1)).toEqual([
      { role: 'user', content: 'Weather?' },
      {
        role: 'assistant',
        content: 'One moment.',
        reasoning_content: 'I look it up.',
        tool_calls: [
          {
            ...{ id: 'call_1', type: 'function' },
            function: { name: 'get_weather', arguments: '{"city":"Oslo"}' },
          },
        ],
      },
      { role: 'tool', content: 'Sun', tool_call_id: 'call_1', name: 'get_weather' },
    ]);
  });

  test('that a limit cuts is incomplete, and so is its last item', async () => {
    const { app, engine } = startGateway();
    engine.script.finishReason = 'length';
    const reply = await post(app, { max_output_tokens: 2 });
    expect(reply.json()).toMatchObject({
      status: 'incomplete',
      completed_at: null,
      incomplete_details: { reason: 'max_output_tokens' },
      output: [{ status: 'incomplete' }],
    });
  });

  test('has the log probabilities that the request includes', async () => {
    const { app, engine } = startGateway();
    const token = { bytes: Buffer.from('Hi'), logprob: -0.5, top: [], firstCharacter: 0 };
    engine.script.parts = [{ type: 'text-delta', text: 'Hi', tokens: [{ id: 1, ...token }] }];
    const include = ['message.output_text.logprobs'];
    const reply = await post(app, { include, top_logprobs: 1 });
    expect(reply.json().output[0].content[0].logprobs).toEqual([
      expect.objectContaining({ token: 'Hi', logprob: -0.5 }),
    ]);
    expect(engine.requests[0]?.logprobs).toBeDefined();
  });
});

describe('a stream of a response', () => {
  test('has every event of every item, numbered', async () => {
    const { app, engine } = startGateway();
    Object.assign(engine.script, { parts: calling, finishReason: 'tool-calls' });

    const reply = await post(app, { tools: [weather], stream: true });

    const events = parseNamedSse(reply.body);
    for (const [index, { event, json }] of events.entries()) {
      expect(json).toMatchObject({ type: event, sequence_number: index });
      expect(Schema.Check(ResponseStreamEvent, json), JSON.stringify(json)).toBe(true);
    }
    const place = (index: number) => ({ output_index: index });
    const part = (index: number) => ({ ...place(index), content_index: 0 });
    expect(events.map(({ json }) => json)).toMatchObject([
      { type: 'response.created', response: { status: 'in_progress', output: [] } },
      { type: 'response.in_progress' },
      {
        ...{ type: 'response.output_item.added', ...place(0) },
        item: { type: 'reasoning', content: [], status: 'in_progress' },
      },
      {
        ...{ type: 'response.content_part.added', ...part(0) },
        part: { type: 'reasoning_text', text: '' },
      },
      { type: 'response.reasoning_text.delta', ...part(0), delta: 'I look ' },
      { type: 'response.reasoning_text.delta', ...part(0), delta: 'it up.' },
      { type: 'response.reasoning_text.done', ...part(0), text: 'I look it up.' },
      { type: 'response.content_part.done', ...part(0), part: { text: 'I look it up.' } },
      { type: 'response.output_item.done', ...place(0), item: { status: 'completed' } },
      {
        ...{ type: 'response.output_item.added', ...place(1) },
        item: { type: 'message', content: [] },
      },
      {
        ...{ type: 'response.content_part.added', ...part(1) },
        part: { type: 'output_text', text: '', annotations: [], logprobs: [] },
      },
      { type: 'response.output_text.delta', ...part(1), delta: 'One ', logprobs: [] },
      { type: 'response.output_text.delta', ...part(1), delta: 'moment.', logprobs: [] },
      { type: 'response.output_text.done', ...part(1), text: 'One moment.' },
      { type: 'response.content_part.done', ...part(1), part: { text: 'One moment.' } },
      { type: 'response.output_item.done', ...place(1) },
      {
        ...{ type: 'response.output_item.added', ...place(2) },
        item: { type: 'function_call', name: 'get_weather', arguments: '', call_id: 'call_1' },
      },
      { type: 'response.function_call_arguments.delta', ...place(2), delta: '{"city":' },
      { type: 'response.function_call_arguments.delta', ...place(2), delta: '"Oslo"}' },
      {
        ...{ type: 'response.function_call_arguments.done', ...place(2) },
        ...{ name: 'get_weather', arguments: '{"city":"Oslo"}' },
      },
      { type: 'response.output_item.done', ...place(2), item: { status: 'completed' } },
      {
        type: 'response.completed',
        response: { status: 'completed', usage: { input_tokens: 3 }, output: { length: 3 } },
      },
    ]);
    expect(reply.body).not.toContain('[DONE]');
  });

  test('that a limit cuts ends with response.incomplete', async () => {
    const { app, engine } = startGateway();
    engine.script.finishReason = 'length';
    const events = parseNamedSse((await post(app, { stream: true })).body);
    expect(events.at(-1)?.event).toBe('response.incomplete');
  });

  test('that fails ends with response.failed', async () => {
    const { app, engine } = startGateway();
    engine.script.failure = { at: 1, error: new GatewayError('engine_failed') };
    const events = parseNamedSse((await post(app, { stream: true })).body);
    expect(events.at(-1)?.json).toMatchObject({
      type: 'response.failed',
      response: {
        status: 'failed',
        error: { code: 'server_error', message: 'The inference engine failed.' },
        output: [{ type: 'message', status: 'incomplete' }],
      },
    });
    expect(events.at(-2)?.event).toBe('response.output_item.done');
  });

  test('that does not fit says so in its stream, where agents look for it', async () => {
    const { app } = startGateway({ engineInfo: { contextLength: 6 } });
    const input = 'a b c d e f g h';
    const events = parseNamedSse((await post(app, { input, stream: true })).body);
    expect(events.map(({ event }) => event)).toEqual([
      ...['response.created', 'response.in_progress', 'response.failed'],
    ]);
    expect(events.map(({ json }) => json.sequence_number)).toEqual([0, 1, 2]);
    expect(events[2]?.json.response).toMatchObject({
      ...{ status: 'failed', error: { code: 'context_length_exceeded' } },
    });
    const plain = await post(app, { input });
    expect(plain.json().error).toMatchObject({ code: 'context_length_exceeded', param: 'input' });
  });

  test('that fails before its first event is a plain error', async () => {
    const { app, engine } = startGateway();
    engine.script.failure = { at: 0, error: new GatewayError('engine_failed') };
    const reply = await post(app, { stream: true });
    expect(reply.statusCode).toBe(500);
    expect(reply.json().error.code).toBe('engine_failed');
  });
});

describe('the conversation', () => {
  async function chatOf(fields: object) {
    const { app, engine } = reuseGateway();
    const reply = await post(app, fields);
    expect(reply.statusCode, reply.body).toBe(200);
    return { chat: engine.preparedChats[0], options: engine.chatOptions[0], reply: reply.json() };
  }

  test('joins what the assistant does in a row, and skips items of other servers', async () => {
    const { chat } = await chatOf({
      instructions: 'Be brief.',
      input: [
        { type: 'message', role: 'developer', content: [{ type: 'input_text', text: 'Rules' }] },
        { role: 'user', content: [{ type: 'input_text', text: 'a' }] },
        {
          ...{ type: 'reasoning', id: 'rs_1', summary: [{ type: 'summary_text', text: 'Hm' }] },
          ...{ encrypted_content: 'of another server' },
        },
        { type: 'web_search_call', id: 'ws_1', status: 'completed' },
        {
          ...{ type: 'message', role: 'assistant', id: 'msg_1', status: 'completed' },
          content: [{ type: 'output_text', text: 'b', annotations: [] }],
        },
        { type: 'function_call', call_id: 'c1', name: 'f', arguments: '{}' },
        { type: 'function_call', call_id: 'c2', name: 'g', namespace: 'ns', arguments: '{"x":1}' },
        {
          ...{ type: 'function_call_output', call_id: 'c2' },
          output: [{ type: 'input_text', text: 'two' }],
        },
        { type: 'function_call_output', call_id: 'c1', output: 'one' },
        { type: 'custom_tool_call', call_id: 'c3', name: 'patch', input: 'a\n"b"' },
        { type: 'custom_tool_call_output', call_id: 'c3', output: 'done' },
      ],
    });
    const call = (id: string, name: string, text: string) => ({
      ...{ id, type: 'function', function: { name, arguments: text } },
    });
    expect(chat).toEqual([
      { role: 'system', content: 'Be brief.' },
      { role: 'developer', content: 'Rules' },
      { role: 'user', content: 'a' },
      {
        ...{ role: 'assistant', content: 'b', reasoning_content: 'Hm' },
        tool_calls: [call('c1', 'f', '{}'), call('c2', 'ns__g', '{"x":1}')],
      },
      { role: 'tool', content: 'one', tool_call_id: 'c1', name: 'f' },
      { role: 'tool', content: 'two', tool_call_id: 'c2', name: 'ns__g' },
      {
        ...{ role: 'assistant', content: '' },
        tool_calls: [call('c3', 'patch', '{"input":"a\\n\\"b\\""}')],
      },
      { role: 'tool', content: 'done', tool_call_id: 'c3', name: 'patch' },
    ]);
  });

  test.each([
    [undefined, { toolChoice: 'auto' }],
    ['none', { toolChoice: 'none' }],
    ['required', { toolChoice: 'required' }],
    [
      { type: 'function', name: 'get_weather' },
      { toolChoice: 'required', only: 'get_weather' },
    ],
    [
      { type: 'custom', name: 'patch' },
      { toolChoice: 'required', only: 'patch' },
    ],
    [
      { type: 'function', name: 'list', namespace: 'files' },
      { toolChoice: 'required', only: 'files__list' },
    ],
    [
      {
        ...{ type: 'allowed_tools', mode: 'auto' },
        tools: [{ type: 'custom', name: 'patch' }, { type: 'web_search_preview' }],
      },
      { toolChoice: 'auto', only: 'patch' },
    ],
  ])(
    'offers its tools as the choice %j asks',
    async (choice, expected: { readonly toolChoice: string; readonly only?: string }) => {
      const { toolChoice, only } = expected;
      const { options } = await chatOf({
        tool_choice: choice,
        tools: [
          weather,
          { type: 'custom', name: 'patch' },
          { type: 'web_search' },
          {
            ...{ type: 'namespace', name: 'files', description: 'Files' },
            tools: [{ type: 'function', name: 'list', parameters: { type: 'object' } }],
          },
        ],
      });
      expect(options?.toolChoice).toBe(toolChoice);
      expect(options?.tools?.map(({ name }) => name)).toEqual(
        only === undefined ? ['get_weather', 'patch', 'files__list'] : [only],
      );
    },
  );

  test('gives calls back under the names of the request', async () => {
    const { app, engine } = startGateway();
    engine.script.finishReason = 'tool-calls';
    engine.script.parts = [
      { type: 'tool-call', index: 0, id: 'call_1', name: 'files__list' },
      { type: 'tool-call-delta', index: 0, arguments: '{}' },
      { type: 'tool-call', index: 1, id: 'call_2', name: 'patch' },
      { type: 'tool-call-delta', index: 1, arguments: '{ "inp' },
      { type: 'tool-call-delta', index: 1, arguments: 'ut": "a\\' },
      { type: 'tool-call-delta', index: 1, arguments: 'n\\u00e9\\ud83d' },
      { type: 'tool-call-delta', index: 1, arguments: '\\ude00"}' },
    ];
    const tools = [
      { type: 'custom', name: 'patch' },
      {
        ...{ type: 'namespace', name: 'files', description: 'Files' },
        tools: [{ type: 'function', name: 'list', parameters: { type: 'object' } }],
      },
    ];
    expect((await post(app, { tools })).json().output).toMatchObject([
      { type: 'function_call', name: 'list', namespace: 'files', arguments: '{}' },
      { type: 'custom_tool_call', name: 'patch', call_id: 'call_2', input: 'a\né😀' },
    ]);
    const events = parseNamedSse((await post(app, { tools, stream: true })).body);
    expect(
      events
        .filter(({ event }) => event.startsWith('response.custom_tool_call_input'))
        .map(({ json }) => json.delta ?? json.input),
    ).toEqual(['a', '\né', '😀', 'a\né😀']);
  });

  test.each([
    [{ type: 'text' }, undefined],
    [{ type: 'grammar', syntax: 'regex', definition: '[a-z]+' }, '^([a-z])+$'],
    [{ type: 'grammar', syntax: 'lark', definition: 'start: "a" | "b"' }, '^([a]|[b])$'],
  ])('enforces the format %j of a custom tool', async (format, pattern) => {
    const { options } = await chatOf({
      tools: [{ type: 'custom', name: 'patch', description: 'Edits', format }],
    });
    const [tool] = options?.tools ?? [];
    expect(tool).toMatchObject({
      name: 'patch',
      parameters: { properties: { input: { type: 'string' } }, required: ['input'] },
      enforced: { properties: { input: { type: 'string' } } },
    });
    if (pattern !== undefined) expect(JSON.stringify(tool?.enforced)).toContain(pattern);
    expect(JSON.stringify(tool?.parameters)).not.toContain('pattern');
  });

  test.each([
    [{ type: 'json_object' }, { type: 'object' }],
    [
      {
        ...{ type: 'json_schema', name: 'a', strict: true },
        schema: {
          ...{ type: 'object', properties: { a: { type: 'integer' } }, required: ['a'] },
          additionalProperties: false,
        },
      },
      { required: ['a'] },
    ],
  ])('follows the format %j', async (format, expected) => {
    const { options } = await chatOf({ text: { format } });
    expect(options?.jsonSchema).toMatchObject(expected);
  });

  test.each([
    [{ effort: 'none' }, { thinking: false }],
    [{ effort: 'high' }, { thinking: true, templateArguments: { reasoning_effort: 'high' } }],
    [{ summary: 'auto' }, {}],
  ])('reasons as %j asks', async (reasoning, expected) => {
    const { options } = await chatOf({ reasoning });
    const { thinking, templateArguments } = options ?? {};
    expect({ thinking, templateArguments }).toEqual({
      ...{ thinking: undefined, templateArguments: undefined },
      ...expected,
    });
  });

  test('leaves out its oldest turns where it may and must', async () => {
    const { app, engine } = startGateway({ engineInfo: { contextLength: 6 } });
    const input = ['a b', 'c d', 'e f', 'g h'].flatMap((text) => [
      { role: 'user', content: text },
      { role: 'assistant', content: 'x' },
    ]);
    const refused = await post(app, { input });
    expect(refused.json().error).toMatchObject({ code: 'context_length_exceeded', param: 'input' });
    const reply = await post(app, { input, instructions: 'S', truncation: 'auto' });
    expect(reply.statusCode).toBe(200);
    expect(engine.requests.at(-1)?.prompt.handle).toEqual([
      { role: 'system', content: 'S' },
      { role: 'user', content: 'g h' },
      { role: 'assistant', content: 'x' },
    ]);
  });

  test.each([
    [40, 400, 5],
    [20_000, 1, 2047],
  ])('%d turns of %d words leave %d', async (count, wordCount, left) => {
    const { app, engine } = reuseGateway();
    const content = 'a '.repeat(wordCount);
    const input = Array.from({ length: count }, () => ({ role: 'user', content }));
    const reply = await post(app, { input, truncation: 'auto' });
    expect(reply.statusCode).toBe(200);
    expect(engine.requests.at(-1)?.prompt.handle).toHaveLength(left);
  });

  test('ignores what only other endpoints have', async () => {
    const { app, engine } = reuseGateway();
    const reply = await post(app, { input: 'Hi', n: 2, bad_words: 5, max_tokens: 1, options: 'x' });
    expect(reply.statusCode).toBe(200);
    expect(reply.json()).toMatchObject({ status: 'completed', output: [{ type: 'message' }] });
    expect(engine.requests.at(-1)?.maxTokens).toBeUndefined();
  });

  test('counts its tokens', async () => {
    const { app } = reuseGateway();
    const reply = await app.inject({
      ...{ method: 'POST', url: `${url}/input_tokens` },
      payload: { model: card.id, input: 'Tell a story' },
    });
    expect(reply.json()).toEqual({ object: 'response.input_tokens', input_tokens: 3 });
  });
});

describe('a refusal', () => {
  test.each([
    [{ input: undefined }, 'input', /`input` is required/],
    [{ input: [] }, 'input', /non-empty array/],
    [{ input: 5 }, 'input', /`input` must be a string or an array/],
    [{ input: [{ role: 'bot', content: 'a' }] }, 'input[0].role', /must be one of/],
    [
      { input: [{ role: 'user', content: [{ type: 'input_image', image_url: 'x' }] }] },
      'input[0].content[0]',
      /only parts of text are/,
    ],
    [{ input: [{ type: 'item_reference', id: 'msg_1' }] }, 'input[0]', /send the item itself/],
    [{ input: [{ type: 'function_call', call_id: 'c' }] }, 'input[0].name', /required/],
    [{ tools: [{ type: 'function' }] }, 'tools[0].name', /required/],
    [{ tools: [{ type: 'namespace', name: 'a' }] }, 'tools[0].tools', /required/],
    [{ tools: [{ type: 'namespace', name: 'a', tools: [5] }] }, 'tools[0].tools[0]', /an object/],
    [
      { input: [{ type: 'additional_tools', tools: [{ type: 'function', name: 'a b' }] }] },
      'input[0].tools[0].name',
      /pattern/,
    ],
    [{ input: [{ type: 'additional_tools' }] }, 'input[0].tools', /must be array/],
    [
      {
        tools: [
          {
            ...{ type: 'custom', name: 'a' },
            format: { type: 'grammar', syntax: 'lark', definition: 'start: "a" start | "b"' },
          },
        ],
      },
      'tools[0].format.definition',
      /contains itself/,
    ],
    [{ tool_choice: 'sometimes' }, 'tool_choice', /must be `none`, `auto`, `required`/],
    [{ tool_choice: 'required' }, 'tool_choice', /there are no `tools`/],
    [{ text: { format: { type: 'xml' } } }, 'text.format.type', /not supported/],
    [{ text: { format: { type: 'json_schema', name: 'a' } } }, 'text.format.schema', /required/],
    [{ prompt: { id: 'pmpt_1' } }, 'prompt', /not supported/],
    [{ conversation: 'conv_1' }, 'conversation', /not supported/],
    [{ background: true }, 'background', /not supported/],
    [{ previous_response_id: 'resp_1' }, 'previous_response_id', /not supported/],
  ])('of %j names %s', async (fields, param, message) => {
    const { app } = reuseGateway();
    const reply = await post(app, fields);
    expect(reply.statusCode).toBe(400);
    expect(reply.json().error).toMatchObject({ param, message: expect.stringMatching(message) });
  });
});
