import Schema from 'typebox/schema';
import { describe, expect, test } from 'vitest';
import { pingIntervalMs } from '../../src/api/generation/sse.ts';
import { Message, MessageStreamEvent } from '../../src/api/messages/message-shapes.ts';
import { GatewayError } from '../../src/core/errors.ts';
import { type FakeScript, gate } from '../support/fake-engine.ts';
import { parseNamedSse } from '../support/read-sse.ts';
import { card, reuseGateway, startGateway, type TestGateway } from '../support/start-gateway.ts';
import { secrets, withKeys } from '../support/test-keys.ts';

const url = '/v1/messages';
const weather = {
  name: 'get_weather',
  description: 'The weather of a city',
  input_schema: {
    type: 'object',
    properties: { city: { type: 'string' } },
    required: ['city'],
  },
};

function messageBody(fields: object = {}): object {
  return {
    model: card.id,
    max_tokens: 100,
    messages: [{ role: 'user', content: 'Tell a story' }],
    ...fields,
  };
}

function post(app: TestGateway['app'], fields: object = {}, headers: Record<string, string> = {}) {
  return app.inject({ method: 'POST', url, payload: messageBody(fields), headers });
}

const progress: NonNullable<FakeScript['progress']> = [
  {
    ...{ type: 'prompt-progress', promptTokenCount: 3, cachedTokenCount: 2 },
    ...{ processedTokenCount: 3, ms: 1 },
  },
];

const calling: FakeScript['parts'] = [
  { type: 'reasoning-delta', text: 'I look ' },
  { type: 'reasoning-delta', text: 'it up.' },
  'One moment.',
  { type: 'tool-call', index: 0, id: 'call_1', name: 'get_weather' },
  { type: 'tool-call-delta', index: 0, arguments: '{"city":' },
  { type: 'tool-call-delta', index: 0, arguments: '"Oslo"}' },
];

describe('a message', () => {
  test('has blocks, a stop reason and usage without cached tokens', async () => {
    const { app, engine } = startGateway();
    engine.script.cachedTokenCount = 2;

    const reply = await post(app);

    expect(reply.statusCode).toBe(200);
    expect(reply.headers['request-id']).toBe(reply.headers['x-request-id']);
    expect(Schema.Check(Message, reply.json())).toBe(true);
    expect(reply.json()).toEqual({
      id: expect.stringMatching(/^msg_[0-9a-f]{32}$/),
      type: 'message',
      role: 'assistant',
      model: card.id,
      content: [{ type: 'text', text: 'Hello world', citations: null }],
      stop_reason: 'end_turn',
      stop_sequence: null,
      stop_details: null,
      container: null,
      diagnostics: null,
      usage: {
        ...{ input_tokens: 1, cache_read_input_tokens: 2, cache_creation_input_tokens: 0 },
        ...{ output_tokens: 2, output_tokens_details: { thinking_tokens: 0 } },
        ...{ server_tool_use: null, cache_creation: null, inference_geo: null },
        ...{ service_tier: 'standard', speed: null },
      },
    });
  });

  test('has thinking, text and calls as blocks in their order', async () => {
    const { app, engine } = startGateway();
    engine.script.parts = calling;
    engine.script.finishReason = 'tool-calls';

    const reply = await post(app, { tools: [weather], thinking: { type: 'adaptive' } });

    expect(Schema.Check(Message, reply.json())).toBe(true);
    expect(reply.json().content).toEqual([
      { type: 'thinking', thinking: 'I look it up.', signature: expect.any(String) },
      { type: 'text', text: 'One moment.', citations: null },
      {
        type: 'tool_use',
        id: 'toolu_1',
        name: 'get_weather',
        input: { city: 'Oslo' },
        caller: { type: 'direct' },
      },
    ]);
    expect(reply.json().stop_reason).toBe('tool_use');
  });

  test.each([
    [{ finishReason: 'length' as const }, 'max_tokens', null],
    [{ ending: { stopText: 'END' } }, 'stop_sequence', 'END'],
    [{ ending: { stopToken: 7 } }, 'end_turn', null],
  ])('that ends by %j says so', async (script, reason, sequence) => {
    const { app, engine } = startGateway();
    Object.assign(engine.script, script);
    const reply = await post(app, { stop_sequences: ['END'] });
    expect(reply.json()).toMatchObject({ stop_reason: reason, stop_sequence: sequence });
  });

  test('that fills the context says so', async () => {
    const { app, engine } = startGateway({ engineInfo: { contextLength: 5 } });
    engine.script.finishReason = 'length';
    const reply = await post(app, { max_tokens: 32_000 });
    expect(reply.json()).toMatchObject({ stop_reason: 'model_context_window_exceeded' });
  });

  test('keeps its thinking in the signature where the request wants no text of it', async () => {
    const { app, engine } = startGateway();
    engine.script.parts = [{ type: 'reasoning-delta', text: 'Hm.' }, 'Yes'];
    const thinking = { type: 'adaptive', display: 'omitted' };

    const [block, text] = (await post(app, { thinking })).json().content;
    expect(block).toMatchObject({ type: 'thinking', thinking: '' });

    const messages = [
      { role: 'user', content: 'a' },
      { role: 'assistant', content: [block, text] },
      { role: 'user', content: 'b' },
    ];
    await post(app, { thinking, messages });
    expect(engine.preparedChats.at(-1)?.[1]).toEqual({
      role: 'assistant',
      content: 'Yes',
      reasoning_content: 'Hm.',
    });
  });
});

describe('a stream of a message', () => {
  test('has every event of every block, and the cached tokens first', async () => {
    const { app, engine } = startGateway();
    Object.assign(engine.script, { parts: calling, finishReason: 'tool-calls', progress });
    engine.script.cachedTokenCount = 2;

    const reply = await post(app, { tools: [weather], stream: true });

    expect(reply.headers['content-type']).toBe('text/event-stream');
    const events = parseNamedSse(reply.body);
    for (const { event, json } of events) {
      expect(json.type).toBe(event);
      expect(Schema.Check(MessageStreamEvent, json), JSON.stringify(json)).toBe(true);
    }
    expect(events.map(({ json }) => json)).toEqual([
      {
        type: 'message_start',
        message: expect.objectContaining({
          content: [],
          stop_reason: null,
          usage: expect.objectContaining({ input_tokens: 1, cache_read_input_tokens: 2 }),
        }),
      },
      {
        ...{ type: 'content_block_start', index: 0 },
        content_block: { type: 'thinking', thinking: '', signature: '' },
      },
      {
        ...{ type: 'content_block_delta', index: 0 },
        delta: { type: 'thinking_delta', thinking: 'I look ' },
      },
      {
        ...{ type: 'content_block_delta', index: 0 },
        delta: { type: 'thinking_delta', thinking: 'it up.' },
      },
      {
        ...{ type: 'content_block_delta', index: 0 },
        delta: { type: 'signature_delta', signature: expect.any(String) },
      },
      { type: 'content_block_stop', index: 0 },
      {
        ...{ type: 'content_block_start', index: 1 },
        content_block: { type: 'text', text: '', citations: null },
      },
      {
        ...{ type: 'content_block_delta', index: 1 },
        delta: { type: 'text_delta', text: 'One moment.' },
      },
      { type: 'content_block_stop', index: 1 },
      {
        ...{ type: 'content_block_start', index: 2 },
        content_block: {
          ...{ type: 'tool_use', id: 'toolu_1', name: 'get_weather', input: {} },
          caller: { type: 'direct' },
        },
      },
      {
        ...{ type: 'content_block_delta', index: 2 },
        delta: { type: 'input_json_delta', partial_json: '{"city":' },
      },
      {
        ...{ type: 'content_block_delta', index: 2 },
        delta: { type: 'input_json_delta', partial_json: '"Oslo"}' },
      },
      { type: 'content_block_stop', index: 2 },
      {
        type: 'message_delta',
        delta: expect.objectContaining({ stop_reason: 'tool_use', stop_sequence: null }),
        usage: expect.objectContaining({
          ...{ input_tokens: 1, cache_read_input_tokens: 2, output_tokens: 6 },
        }),
      },
      { type: 'message_stop' },
    ]);
  });

  test('that fails ends with an error event, without a message_stop', async () => {
    const { app, engine } = startGateway();
    Object.assign(engine.script, {
      progress,
      failure: { at: 1, error: new GatewayError('engine_failed') },
    });

    const events = parseNamedSse((await post(app, { stream: true })).body);

    expect(events.at(-1)).toEqual({
      event: 'error',
      json: {
        type: 'error',
        error: { type: 'api_error', message: 'The inference engine failed.' },
        request_id: expect.stringMatching(/^req_/),
      },
    });
    expect(events.map(({ event }) => event)).not.toContain('message_stop');
  });

  test('that waits has pings of its own form', async () => {
    expect(pingIntervalMs).toBe(5000);
    const { app, engine } = startGateway();
    engine.script.beforeEvent = (index) =>
      index === 0 ? new Promise((resolve) => setTimeout(resolve, pingIntervalMs + 500)) : undefined;
    const reply = await post(app, { stream: true });
    expect(reply.body.startsWith('event: ping\ndata: {"type":"ping"}\n\n')).toBe(true);
  }, 20_000);
});

describe('the conversation', () => {
  async function chatOf(fields: object) {
    const { app, engine } = reuseGateway();
    const reply = await post(app, fields);
    expect(reply.statusCode, reply.body).toBe(200);
    return { chat: engine.preparedChats[0], options: engine.chatOptions[0] };
  }

  test('is read with its system prompt, calls and results', async () => {
    const { chat } = await chatOf({
      system: [
        { type: 'text', text: 'x-anthropic-billing-header: cc_version=2.1; cch=a5145;' },
        {
          type: 'text',
          text: 'x-anthropic-billing-header: cch=b1;\n\nBe brief.',
          cache_control: { type: 'ephemeral' },
        },
      ],
      messages: [
        { role: 'user', content: [{ type: 'text', text: 'Weather?' }] },
        {
          role: 'assistant',
          content: [
            { type: 'thinking', thinking: 'Oslo or Rome?', signature: 'x' },
            { type: 'text', text: 'I look.' },
            { type: 'tool_use', id: 'toolu_9', name: 'get_weather', input: { city: 'Oslo' } },
            { type: 'tool_use', id: 'toolu_8', name: 'get_weather', input: { city: 'Rome' } },
          ],
        },
        {
          role: 'user',
          content: [
            {
              ...{ type: 'tool_result', tool_use_id: 'toolu_8' },
              content: [{ type: 'text', text: 'Sun' }],
            },
            { type: 'tool_result', tool_use_id: 'toolu_9', content: 'no key', is_error: true },
            { type: 'text', text: 'Which is better?' },
          ],
        },
        { role: 'system', content: 'One word.' },
      ],
    });
    expect(chat).toEqual([
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'Weather?' },
      {
        role: 'assistant',
        content: 'I look.',
        reasoning_content: 'Oslo or Rome?',
        tool_calls: [
          {
            ...{ id: 'toolu_9', type: 'function' },
            function: { name: 'get_weather', arguments: '{"city":"Oslo"}' },
          },
          {
            ...{ id: 'toolu_8', type: 'function' },
            function: { name: 'get_weather', arguments: '{"city":"Rome"}' },
          },
        ],
      },
      { role: 'tool', content: 'Error: no key', tool_call_id: 'toolu_9', name: 'get_weather' },
      { role: 'tool', content: 'Sun', tool_call_id: 'toolu_8', name: 'get_weather' },
      { role: 'user', content: 'Which is better?' },
      { role: 'system', content: 'One word.' },
    ]);
  });

  test('may have documents of text and search results, and items of other servers', async () => {
    const { chat } = await chatOf({
      messages: [
        {
          role: 'user',
          content: [
            {
              ...{ type: 'document', title: 'Notes', context: 'private' },
              source: { type: 'text', media_type: 'text/plain', data: 'Buy milk.' },
            },
            {
              ...{ type: 'search_result', title: 'Milk', source: 'https://example.org' },
              content: [{ type: 'text', text: 'White.' }],
            },
            { type: 'text', text: 'What?' },
          ],
        },
        {
          role: 'assistant',
          content: [
            { type: 'server_tool_use', id: 'srv_1', name: 'web_search', input: {} },
            { type: 'mcp_tool_use', id: 'mcp_1', name: 'look', server_name: 'x', input: {} },
            { type: 'mcp_tool_result', tool_use_id: 'mcp_1', content: [] },
            { type: 'web_search_tool_result', tool_use_id: 'srv_1', content: [] },
            { type: 'redacted_thinking', data: 'x' },
            { type: 'text', text: 'Milk.' },
          ],
        },
        { role: 'user', content: 'Thanks' },
      ],
    });
    expect(chat).toEqual([
      {
        role: 'user',
        content: 'Notes\nprivate\nBuy milk.\nMilk\nhttps://example.org\nWhite.\nWhat?',
      },
      { role: 'assistant', content: 'Milk.' },
      { role: 'user', content: 'Thanks' },
    ]);
  });

  test.each([
    [{}, { toolChoice: 'auto' }],
    [{ tool_choice: { type: 'any' } }, { toolChoice: 'required' }],
    [
      { tool_choice: { type: 'auto', disable_parallel_tool_use: true } },
      { toolChoice: 'auto', parallelToolCalls: false },
    ],
    [
      { tool_choice: { type: 'tool', name: 'get_weather' } },
      { toolChoice: 'required', parallelToolCalls: false },
    ],
    [{ tool_choice: { type: 'none' } }, { toolChoice: 'none' }],
  ])('offers its tools as %j asks', async (fields, expected) => {
    const { options } = await chatOf({ ...fields, tools: [weather, { ...weather, name: 'b' }] });
    expect(options).toMatchObject(expected);
    const names = options?.tools?.map(({ name }) => name);
    const isNamed = JSON.stringify(fields).includes('get_weather');
    expect(names).toEqual(isNamed ? ['get_weather'] : ['get_weather', 'b']);
  });

  test('shows tools that clients of Anthropic run, and leaves out those of its servers', async () => {
    const { options } = await chatOf({
      tools: [
        { type: 'bash_20250124', name: 'bash' },
        { type: 'text_editor_20250728', name: 'str_replace_based_edit_tool' },
        { type: 'web_search_20250305', name: 'web_search', max_uses: 5 },
        { type: 'custom', ...weather, input_examples: [{ city: 'Oslo' }] },
      ],
    });
    expect(options?.tools?.map(({ name }) => name)).toEqual([
      ...['bash', 'str_replace_based_edit_tool', 'get_weather'],
    ]);
    expect(options?.tools?.[0]?.parameters).toMatchObject({
      properties: { command: { type: 'string' } },
    });
    expect(options?.tools?.[2]?.description).toContain('{"city":"Oslo"}');
  });

  test.each([
    [{}, { thinking: false }],
    [{ thinking: { type: 'disabled' } }, { thinking: false }],
    [
      { thinking: { type: 'enabled', budget_tokens: 2000 } },
      { thinking: true, thinkingBudget: 2000 },
    ],
    [
      { thinking: { type: 'adaptive' }, output_config: { effort: 'high' } },
      { thinking: true, templateArguments: { reasoning_effort: 'high' } },
    ],
    [{ thinking: { type: 'between_tools' } }, {}],
  ])('thinks as %j asks', async (fields, expected) => {
    const { options } = await chatOf(fields);
    const { thinking, thinkingBudget, templateArguments } = options ?? {};
    expect({ thinking, thinkingBudget, templateArguments }).toEqual({
      ...{ thinking: undefined, thinkingBudget: undefined, templateArguments: undefined },
      ...expected,
    });
  });

  test.each(['output_config', 'output_format'])('follows the schema in %s', async (field) => {
    const format = {
      type: 'json_schema',
      schema: { type: 'object', properties: { a: { type: 'integer' } }, required: ['a'] },
    };
    const { options } = await chatOf({ [field]: field === 'output_config' ? { format } : format });
    expect(options?.jsonSchema).toMatchObject({ required: ['a'] });
  });

  test('counts its tokens without a limit', async () => {
    const { app } = reuseGateway();
    const { messages } = messageBody() as { messages: unknown };
    const reply = await app.inject({
      ...{ method: 'POST', url: `${url}/count_tokens` },
      payload: { model: card.id, messages },
    });
    expect(reply.json()).toEqual({ input_tokens: 3 });
  });
});

describe('a refusal', () => {
  const refusal = (type: string, message: RegExp | string) => ({
    type: 'error',
    error: { type, message: expect.stringMatching(message) },
    request_id: expect.stringMatching(/^req_/),
  });

  test.each([
    [{ messages: undefined }, /`messages` is required/],
    [{ messages: [] }, /`messages`/],
    [{ messages: [{ role: 'bot', content: 'a' }] }, /`messages\[0\]\.role`/],
    [{ max_tokens: -1 }, /`max_tokens`/],
    [
      { messages: [{ role: 'user', content: [{ type: 'image', source: {} }] }] },
      /`messages\[0\]\.content\[0\]` is not supported; this model reads only text/,
    ],
    [
      { messages: [{ role: 'user', content: [{ type: 'tool_result', content: 5 }] }] },
      /`messages\[0\]\.content\[0\]\.content` must be a string or an array/,
    ],
    [{ tools: [{ input_schema: {} }] }, /`tools\[0\]\.name` is required/],
    [
      { tools: [{ name: 'a', input_schema: { type: 'array' } }] },
      /`tools\[0\]\.input_schema\.type` must be `object`/,
    ],
    [{ tool_choice: { type: 'any' } }, /there are no `tools`/],
    [{ mcp_servers: [{ url: 'https://example.org' }] }, /`mcp_servers`/],
    [{ output_config: { format: { type: 'xml' } } }, /`output_config\.format\.type`/],
  ])('of %j names the field in the form of Anthropic', async (fields, message) => {
    const { app } = reuseGateway();
    const reply = await post(app, fields);
    expect(reply.statusCode).toBe(400);
    expect(reply.json()).toEqual(refusal('invalid_request_error', message));
    expect(reply.headers['request-id']).toBe(reply.json().request_id);
  });

  test('of a prompt that is too long has the sentence that agents look for', async () => {
    const { app } = startGateway({ engineInfo: { contextLength: 3 } });
    const reply = await post(app);
    expect(reply.statusCode).toBe(400);
    expect(reply.json()).toEqual(
      refusal('invalid_request_error', /^prompt is too long: 3 tokens > 3 maximum$/),
    );
  });

  test('before the route has the same form', async () => {
    const { app } = startGateway({
      authentication: await withKeys(`alice:${secrets.alice}`),
      limits: { bodyBytes: 200 },
    });
    const withoutKey = await post(app);
    expect(withoutKey.statusCode).toBe(401);
    expect(withoutKey.json()).toEqual(refusal('authentication_error', /key/));
    const headers = { 'x-api-key': secrets.alice };
    const large = await post(app, { system: 'a'.repeat(500) }, headers);
    expect(large.statusCode).toBe(413);
    expect(large.json()).toEqual(refusal('request_too_large', /at most 200 bytes/));
    const absent = await app.inject({ url: `${url}/batches`, headers });
    expect(absent.statusCode).toBe(404);
    expect(absent.json()).toEqual(refusal('not_found_error', /endpoint/));
    const json = { ...headers, 'content-type': 'application/json' };
    const broken = await app.inject({ method: 'POST', url, payload: '{', headers: json });
    expect(broken.json()).toEqual(refusal('invalid_request_error', /JSON/));
  });

  test('of a full queue has the status of an overloaded server', async () => {
    const { app, engine } = startGateway({
      engineInfo: { slotCount: 1 },
      queue: { waitingCount: 1 },
    });
    const held = gate();
    engine.script.beforeEvent = () => held.opened;
    const answered = [post(app), post(app)];
    await engine.until(() => engine.preparedChats.length === 2);
    const refused = await post(app);
    held.open();
    expect(refused.statusCode).toBe(529);
    expect(refused.json()).toEqual(refusal('overloaded_error', /waiting/));
    for (const reply of await Promise.all(answered)) expect(reply.statusCode).toBe(200);
  });
});
