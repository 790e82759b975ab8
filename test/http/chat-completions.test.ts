import Schema from 'typebox/schema';
import { describe, expect, test } from 'vitest';
import { ChatCompletion } from '../../src/api/chat/chat-shapes.ts';
import { card, postChat, startGateway } from '../support/start-gateway.ts';

describe('a reply that does not stream', () => {
  test('is a chat completion with every key of the schema', async () => {
    const { app, engine } = startGateway();
    engine.script.cachedTokenCount = 1;

    const reply = await postChat(app);

    expect(reply.statusCode).toBe(200);
    expect(reply.headers['content-type']).toContain('application/json');
    const body = reply.json();
    expect(Schema.Check(ChatCompletion, body)).toBe(true);
    expect(body).toEqual({
      id: expect.stringMatching(/^chatcmpl-[0-9a-f]{32}$/),
      object: 'chat.completion',
      created: expect.any(Number),
      model: card.id,
      system_fingerprint: expect.stringMatching(/^fp_[0-9a-f]{10}$/),
      choices: [
        {
          index: 0,
          message: { role: 'assistant', content: 'Hello world', refusal: null },
          logprobs: null,
          finish_reason: 'stop',
        },
      ],
      usage: {
        prompt_tokens: 3,
        completion_tokens: 2,
        total_tokens: 5,
        prompt_tokens_details: { cached_tokens: 1 },
        completion_tokens_details: { reasoning_tokens: 0 },
      },
      timings: expect.any(Object),
    });
  });

  test('says `length` when the limit ended the completion', async () => {
    const { app, engine } = startGateway();
    engine.script.finishReason = 'length';
    const reply = await postChat(app);
    expect(reply.json().choices[0].finish_reason).toBe('length');
  });

  test('has empty content when the model says nothing', async () => {
    const { app, engine } = startGateway();
    engine.script.parts = [];
    const reply = await postChat(app);
    expect(reply.json().choices[0].message.content).toBe('');
  });

  test('has an id of its own and the fingerprint of the model', async () => {
    const { app } = startGateway();
    const [first, second] = [await postChat(app), await postChat(app)].map((reply) => reply.json());
    expect(first.id).not.toBe(second.id);
    expect(first.system_fingerprint).toBe(second.system_fingerprint);
  });
});

describe('what reaches the engine', () => {
  test.each([
    ['nothing when nothing is said', {}, {}],
    ['nothing for null', { max_tokens: null, stop: null, temperature: null, seed: null }, {}],
    ['max_tokens', { max_tokens: 7 }, { maxTokens: 7 }],
    ['max_completion_tokens', { max_completion_tokens: 8 }, { maxTokens: 8 }],
    [
      'max_completion_tokens before max_tokens',
      { max_tokens: 7, max_completion_tokens: 8 },
      { maxTokens: 8 },
    ],
    ['a single stop string', { stop: 'END' }, { stop: ['END'] }],
    ['several stop strings', { stop: ['a', 'b'] }, { stop: ['a', 'b'] }],
    ['no stop strings from an empty array', { stop: [] }, {}],
    [
      'sampling parameters',
      { temperature: 0, top_p: 0.5, seed: -2, ignore_eos: true },
      { sampling: { temperature: 0, topP: 0.5, seed: -2n, ignoreEos: true } },
    ],
  ])('is %s', async (_name, fields, expected) => {
    const { app, engine } = startGateway();
    const reply = await postChat(app, fields);
    expect(reply.statusCode).toBe(200);
    const { prompt: _prompt, ...options } = engine.requests[0] ?? { prompt: undefined };
    expect(options).toEqual({ sampling: {}, ...expected });
  });

  test('is every role, with text parts joined by line breaks and missing assistant text empty', async () => {
    const { app, engine } = startGateway();
    const part = (text: string) => ({ type: 'text', text });
    const reply = await postChat(app, {
      messages: [
        { role: 'system', content: 'a' },
        { role: 'developer', content: [part('b')] },
        { role: 'user', name: 'eve', content: [part('c'), part('d')] },
        { role: 'assistant', content: null, refusal: null, tool_calls: [], audio: null },
        { role: 'assistant' },
        { role: 'tool', tool_call_id: 'x', content: '' },
      ],
    });
    expect(reply.statusCode).toBe(200);
    expect(engine.preparedChats).toEqual([
      [
        { role: 'system', content: 'a' },
        { role: 'developer', content: 'b' },
        { role: 'user', name: 'eve', content: 'c\nd' },
        { role: 'assistant', content: '' },
        { role: 'assistant', content: '' },
        { role: 'tool', tool_call_id: 'x', content: '' },
      ],
    ]);
  });
});

describe('values that are accepted', () => {
  test.each([
    ['model', ['x', '', null]],
    ['max_tokens', [null, 1, 2045, 1.0]],
    ['max_completion_tokens', [null, 1]],
    ['temperature', [null, 0, 0.7, 2]],
    ['top_p', [null, 1e-9, 0.5, 1]],
    ['stop', [null, [], 'a', ['a'], Array(16).fill('a')]],
    ['seed', [null, 0, -1, -(2 ** 63), 2 ** 64]],
    ['ignore_eos', [null, true, false]],
    ['stream', [null, false, true]],
    ['stream_options', [null]],
  ])('%s', async (name, values) => {
    const { app } = startGateway();
    for (const value of values) {
      const reply = await postChat(app, { [name]: value });
      expect(reply.statusCode, JSON.stringify(value)).toBe(200);
    }
  });

  test('a body without `model`', async () => {
    const { app } = startGateway();
    const reply = await postChat(app, { model: undefined });
    expect(reply.json().model).toBe(card.id);
  });

  test.each([
    null,
    {},
    { include_usage: null },
    { include_usage: true, include_obfuscation: false },
  ])('stream_options %j with stream', async (options) => {
    const { app } = startGateway();
    const reply = await postChat(app, { stream: true, stream_options: options });
    expect(reply.statusCode).toBe(200);
  });

  test.each([
    { user: 'u', metadata: { a: 'b' }, store: true, service_tier: 'flex', safety_identifier: 's' },
    { prompt_cache_key: 'k', prompt_cache_retention: '24h', parallel_tool_calls: false },
    { n: 1, frequency_penalty: 0, presence_penalty: 0, logit_bias: {}, logprobs: false },
    { tools: [], tool_choice: 'none', functions: [], function_call: 'auto' },
    { response_format: { type: 'text' }, modalities: ['text'], verbosity: 'medium' },
    { n: null, tools: null, response_format: null, top_k: null, grammar: null, audio: null },
    { top_logprobs: 0, repeat_penalty: 1, mirostat: 0, grammar: '', min_tokens: 0 },
  ])('fields that ask for nothing: %j', async (fields) => {
    const { app, logLines } = startGateway();
    const reply = await postChat(app, fields);
    expect(reply.statusCode, reply.body).toBe(200);
    expect(logLines).not.toContainEqual(expect.objectContaining({ msg: 'unknown fields ignored' }));
  });

  test('unknown fields, with a debug line that names them', async () => {
    const { app, logLines } = startGateway();
    const reply = await postChat(app, { zeal: 11, toString: 1 });
    expect(reply.statusCode).toBe(200);
    expect(logLines).toContainEqual(
      expect.objectContaining({ level: 20, fields: ['zeal', 'toString'] }),
    );
  });
});

describe('values that are refused', () => {
  const user = { role: 'user', content: 'x' };

  test.each([
    ['model', 5, 'must be a string or null, received 5'],
    ['messages', [], 'must be a non-empty array, received an empty array'],
    ['messages', 'x', 'must be a non-empty array, received "x"'],
    ['messages', null, 'must be a non-empty array, received null'],
    ['max_tokens', -3, 'must be an integer of at least -2 or null, received -3'],
    ['max_tokens', 1.5, 'received 1.5'],
    ['max_tokens', '5', 'received "5"'],
    ['max_completion_tokens', true, 'received true'],
    ['temperature', -0.1, 'must be a number between 0 and 100 or null, received -0.1'],
    ['temperature', 100.1, 'received 100.1'],
    ['temperature', '1', 'received "1"'],
    ['top_p', -0.1, 'must be a number between 0 and 1 or null, received -0.1'],
    ['top_p', 1.1, 'received 1.1'],
    ['top_p', [], 'received an empty array'],
    ['stop', 5, 'must be a string or an array of at most 256 items or null, received 5'],
    ['stop', Array(257).fill('a'), 'received an array'],
    ['stop', 'x'.repeat(65_537), 'must have at most 65536 characters in all, received 65537'],
    ['seed', 1.5, 'must be a 64-bit integer or null, received 1.5'],
    ['seed', '1', 'received "1"'],
    ['seed', 1e30, 'received 1e+30'],
    ['ignore_eos', 1, 'must be a boolean or null, received 1'],
    ['stream', 'true', 'must be a boolean or null, received "true"'],
    ['stream_options', true, 'must be an object or null, received true'],
  ])('%s: %j', async (name, value, message) => {
    const { app, engine } = startGateway();
    const reply = await postChat(app, { [name]: value });
    expect(reply.statusCode).toBe(400);
    expect(reply.json().error).toMatchObject({
      type: 'invalid_request_error',
      param: name,
      code: 'invalid_value',
    });
    expect(reply.json().error.message).toContain(`\`${name}\``);
    expect(reply.json().error.message).toContain(message);
    expect(engine.preparedChats).toEqual([]);
  });

  test.each([
    [{ stop: [['a']] }, 'stop[0]', 'invalid_value'],
    [
      { stream: true, stream_options: { include_usage: 1 } },
      'stream_options.include_usage',
      'invalid_value',
    ],
    [{ messages: undefined }, 'messages', 'missing_required_parameter'],
    [{ messages: ['x'] }, 'messages[0]', 'invalid_value'],
    [{ messages: [{ content: 'x' }] }, 'messages[0].role', 'missing_required_parameter'],
    [{ messages: [user, { role: 'king', content: 'x' }] }, 'messages[1].role', 'invalid_value'],
    [{ messages: [user, { role: 'user' }] }, 'messages[1].content', 'missing_required_parameter'],
    [{ messages: [{ role: 'user', content: 5 }] }, 'messages[0].content', 'invalid_value'],
    [{ messages: [{ role: 'user', content: [5] }] }, 'messages[0].content[0]', 'invalid_value'],
    [
      { messages: [{ role: 'user', content: [{ text: 'x' }] }] },
      'messages[0].content[0].type',
      'missing_required_parameter',
    ],
    [
      { messages: [{ role: 'user', content: [{ type: 'text' }] }] },
      'messages[0].content[0].text',
      'missing_required_parameter',
    ],
    [
      { messages: [{ role: 'user', content: [{ type: 'text', text: 5 }] }] },
      'messages[0].content[0].text',
      'invalid_value',
    ],
    [
      { messages: [{ role: 'user', content: [{ type: 'smell' }] }] },
      'messages[0].content[0].type',
      'invalid_value',
    ],
    [
      {
        messages: [
          user,
          { role: 'user', content: [{ type: 'text', text: 'a' }, { type: 'image_url' }] },
        ],
      },
      'messages[1].content[1]',
      'unsupported_parameter',
    ],
    [{ messages: [{ role: 'user', content: 'a\ud800b' }] }, 'messages[0].content', 'invalid_value'],
    [
      { messages: [{ role: 'user', content: [{ type: 'input_audio' }] }] },
      'messages[0].content[0]',
      'unsupported_parameter',
    ],
    [
      { messages: [{ role: 'assistant', function_call: 'auto' }] },
      'messages[0].function_call',
      'invalid_value',
    ],
    [
      { messages: [{ role: 'user', content: 'x', function_call: { name: 'f' } }] },
      'messages[0].function_call',
      'invalid_value',
    ],
    [
      { messages: [{ role: 'assistant', audio: { id: 'x' } }] },
      'messages[0].audio',
      'unsupported_parameter',
    ],
  ])('%j names %s', async (fields, param, code) => {
    const { app } = startGateway();
    const reply = await postChat(app, fields);
    expect(reply.statusCode).toBe(400);
    expect(reply.json().error).toMatchObject({ param, code });
    expect(reply.json().error.message).toContain(param);
  });

  test.each([
    { modalities: ['text', 'audio'] },
    { audio: { voice: 'alloy', format: 'wav' } },
    { web_search_options: {} },
  ])('%j is not supported yet', async (fields) => {
    const { app, engine } = startGateway();
    const [param = ''] = Object.keys(fields);
    const reply = await postChat(app, fields);
    expect(reply.statusCode).toBe(400);
    expect(reply.json().error).toEqual({
      message: expect.stringContaining(`\`${param}\` is not supported`),
      type: 'invalid_request_error',
      param,
      code: 'unsupported_parameter',
    });
    expect(engine.requests).toEqual([]);
  });

  test('a number too large for JSON', async () => {
    const { app } = startGateway();
    const reply = await app.inject({
      method: 'POST',
      url: '/v1/chat/completions',
      headers: { 'content-type': 'application/json' },
      payload: '{"messages":[{"role":"user","content":"x"}],"temperature":1e999}',
    });
    expect(reply.statusCode).toBe(400);
    expect(reply.json().error.param).toBe('temperature');
  });

  test('a long value is quoted only in part', async () => {
    const { app } = startGateway();
    const reply = await postChat(app, { temperature: 'x'.repeat(5000) });
    expect(reply.json().error.message.length).toBeLessThan(150);
  });
});

describe('the model that is asked for', () => {
  test('is ignored unless models are strict', async () => {
    const { app } = startGateway();
    const reply = await postChat(app, { model: 'gpt-9' });
    expect(reply.statusCode).toBe(200);
    expect(reply.json().model).toBe(card.id);
  });

  test('must be the served one when models are strict', async () => {
    const { app } = startGateway({ strictModel: true });
    expect((await postChat(app)).statusCode).toBe(200);

    const other = await postChat(app, { model: 'gpt-9' });
    expect(other.statusCode).toBe(404);
    expect(other.json().error).toMatchObject({ code: 'model_not_found', param: 'model' });

    const none = await postChat(app, { model: undefined });
    expect(none.statusCode).toBe(400);
    expect(none.json().error).toMatchObject({ code: 'missing_required_parameter', param: 'model' });
  });
});
