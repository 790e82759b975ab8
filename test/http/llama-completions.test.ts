/** llama-server's `/completion` and `/infill`, as its documentation and its clients know them. */
import Schema from 'typebox/schema';
import { describe, expect, test } from 'vitest';
import { LlamaChoice, LlamaPiece } from '../../src/api/text/llama-completion-shapes.ts';
import type { Gateway } from '../../src/server/gateway.ts';
import { tokenLogprob } from '../support/fake-engine.ts';
import { parseSse } from '../support/read-sse.ts';
import { card, startGateway } from '../support/start-gateway.ts';

const post = (app: Gateway, url: string, payload: object) =>
  app.inject({ method: 'POST', url, payload });

/** The objects of a stream. */
const readFrames = (body: string): object[] =>
  parseSse(body).map((frame) => (frame === 'done' ? {} : (frame.json as object)));

describe('POST /completion', () => {
  test('replies with one object', async () => {
    const { app, engine } = startGateway();
    engine.script.timings = { queueMs: 1, prefillMs: 20, decodeMs: 10 };
    engine.script.cachedTokenCount = 1;
    const reply = await post(app, '/completion', { prompt: 'one two three', n_predict: 9 });
    expect(reply.statusCode).toBe(200);
    expect(Schema.Check(LlamaChoice, reply.json())).toBe(true);
    expect(reply.json()).toEqual({
      index: 0,
      content: 'Hello world',
      tokens: [],
      id_slot: -1,
      stop: true,
      model: card.id,
      tokens_predicted: 2,
      tokens_evaluated: 3,
      generation_settings: expect.objectContaining({
        temperature: 0.8,
        n_predict: 9,
        max_tokens: 9,
        stop: [],
        n_probs: 0,
        stream: false,
        lora: [],
      }),
      prompt: ' 1 2 3',
      has_new_line: false,
      truncated: false,
      stop_type: 'eos',
      stopping_word: '',
      tokens_cached: 4,
      timings: expect.objectContaining({ cache_n: 1, prompt_n: 2, prompt_ms: 20, predicted_n: 2 }),
    });
  });

  test.each([
    [{ finishReason: 'length' }, { stop_type: 'limit', stopping_word: '', truncated: false }],
    [{ end: { stopText: '\nUser:' } }, { stop_type: 'word', stopping_word: '\nUser:' }],
    [{ parts: ['a\n', 'b'] }, { content: 'a\nb', has_new_line: true }],
    [{ parts: [] }, { content: '', has_new_line: false, stop_type: 'eos' }],
  ] as const)('of %j is %j', async (script, expected) => {
    const { app, engine } = startGateway();
    Object.assign(engine.script, script);
    const reply = await post(app, '/completion', { prompt: 'x' });
    expect(reply.json()).toMatchObject(expected);
  });

  test('is truncated when the context was full', async () => {
    const { app, engine } = startGateway({ engineInfo: { contextLength: 4 } });
    engine.script.finishReason = 'length';
    const reply = await post(app, '/completion', { prompt: 'one two' });
    expect(reply.json()).toMatchObject({ truncated: true, stop_type: 'limit' });
  });

  test.each<[fields: object, request: object]>([
    [{ n_predict: 5 }, { maxTokens: 5 }],
    [{ n_predict: 0 }, { maxTokens: 0 }],
    [{ max_tokens: 7 }, { maxTokens: 7 }],
    [{ stop: ['a', 'b'] }, { stop: ['a', 'b'] }],
    [{ temperature: 0.5, top_k: 5 }, { sampling: { temperature: 0.5, topK: 5 } }],
    [{ t_max_predict_ms: 500 }, { maxDecodeMs: 500 }],
    [{ n_indent: 4 }, { minIndent: 4 }],
    [{ n_probs: 3 }, { logprobs: { topCount: 3, prompt: false } }],
    [{ return_tokens: true }, { reportTokens: true }],
    [
      { return_progress: true, stream: true },
      { reportProgress: true, reportTokens: true },
    ],
  ])('with %j asks the engine for %j', async (fields, expected) => {
    const { app, engine } = startGateway();
    const reply = await post(app, '/completion', { prompt: 'x', ...fields });
    expect(reply.statusCode, reply.body).toBe(200);
    expect(engine.requests[0]).toMatchObject(expected);
  });

  test.each<[fields: object, format: object]>([
    [{ grammar: 'root ::= "a"' }, { grammar: 'root ::= "a"' }],
    [{ json_schema: { type: 'object' } }, { jsonSchema: { type: 'object' } }],
  ])('with %j has a format, and so has an infill', async (fields, format) => {
    const { app, engine } = startGateway();
    const reply = await post(app, '/completion', { prompt: 'x', ...fields });
    expect(reply.statusCode, reply.body).toBe(200);
    await post(app, '/infill', { input_prefix: 'x', ...fields });
    expect(engine.plainFormats).toMatchObject([format, format]);
  });

  test.each([
    {},
    { n_predict: -1 },
    { n_predict: null, max_tokens: -1 },
    { t_max_predict_ms: 0 },
    { t_max_predict_ms: -1 },
    { n_probs: 0, n_indent: 0, return_tokens: false, return_progress: false, grammar: '' },
    { cache_prompt: true, id_slot: 3, n_keep: -1, n_discard: 0, n_cache_reuse: 256 },
    { lora: [], post_sampling_probs: false, min_keep: 0, timings_per_token: true },
    { sse_ping_interval: 5, 'speculative.n_max': 4, t_max_prompt_ms: 500 },
  ])('takes %j, which asks for nothing', async (fields) => {
    const { app, engine } = startGateway();
    const reply = await post(app, '/completion', { prompt: 'x', ...fields });
    expect(reply.statusCode, reply.body).toBe(200);
    const { maxTokens, maxDecodeMs, logprobs, reportTokens, reportProgress } =
      engine.requests[0] ?? {};
    expect([maxTokens, maxDecodeMs, logprobs, reportTokens, reportProgress]).toEqual(
      Array(5).fill(undefined),
    );
  });

  test.each<[prompt: unknown, prompts: readonly unknown[]]>([
    ['text', [{ text: 'text' }]],
    [[12, 34], [{ tokens: [12, 34] }]],
    [[12, 'one two', 34], [{ tokens: [12, 0, 1, 34] }]],
    [{ prompt_string: 'text' }, [{ text: 'text' }]],
    [{ prompt_string: 'text', multimodal_data: [] }, [{ text: 'text' }]],
    [{ prompt_string: [1, 'a'] }, [{ tokens: [1, 0] }]],
    [
      ['a', 'b'],
      [{ text: 'a' }, { text: 'b' }],
    ],
    [
      [[1, 'a'], [2], 'b', { prompt_string: 'c' }],
      [{ tokens: [1, 0] }, { tokens: [2] }, { text: 'b' }, { text: 'c' }],
    ],
  ])('takes the prompt %j', async (prompt, prompts) => {
    const { app, engine } = startGateway();
    const reply = await post(app, '/completion', { prompt });
    expect(reply.statusCode, reply.body).toBe(200);
    // Texts are ready before mixed prompts.
    expect(engine.plainPrompts).toHaveLength(prompts.length);
    expect(engine.plainPrompts).toEqual(expect.arrayContaining([...prompts]));
    const body = reply.json();
    if (prompts.length === 1) expect(body.index).toBe(0);
    else
      expect(body.map(({ index }: { index: number }) => index)).toEqual(prompts.map((_, i) => i));
  });

  test('gives several completions of each prompt, in an array', async () => {
    for (const name of ['n_cmpl', 'n']) {
      const { app } = startGateway();
      const reply = await post(app, '/completion', { prompt: ['a', 'b c'], [name]: 2 });
      const choices = reply.json();
      expect(choices.map(({ index }: LlamaChoice) => index)).toEqual([0, 1, 2, 3]);
      expect(choices.map((each: LlamaChoice) => each.tokens_evaluated)).toEqual([1, 1, 2, 2]);
    }
  });

  test('has probabilities for n_probs', async () => {
    const { app, engine } = startGateway();
    const token = tokenLogprob('Hel', -0.5, 0, [
      ['Hel', -0.5],
      [Buffer.from([0xff]), Number.NEGATIVE_INFINITY],
    ]);
    engine.script.parts = [{ type: 'text-delta', text: 'Hello', tokens: [token] }];
    const expected = [
      {
        id: 72,
        token: 'Hel',
        bytes: [72, 101, 108],
        logprob: -0.5,
        top_logprobs: [
          { id: 72, token: 'Hel', bytes: [72, 101, 108], logprob: -0.5 },
          { id: 255, token: '\ufffd', bytes: [255], logprob: -9999 },
        ],
      },
    ];
    const reply = await post(app, '/completion', { prompt: 'x', n_probs: 2 });
    expect(reply.json().completion_probabilities).toEqual(expected);
    const stream = await post(app, '/completion', { prompt: 'x', n_probs: 2, stream: true });
    expect(readFrames(stream.body)[0]).toMatchObject({ completion_probabilities: expected });
  });

  test('returns the ids of tokens on request, those without text too', async () => {
    const { app, engine } = startGateway();
    engine.script.parts = [{ type: 'text-delta', text: 'Hi', ids: [5, 6] }];
    engine.script.end = { ids: [2] };
    const body = { prompt: 'x', return_tokens: true };
    expect((await post(app, '/completion', body)).json().tokens).toEqual([5, 6, 2]);
    const without = await post(app, '/completion', { prompt: 'x' });
    expect(without.json().tokens).toEqual([]);
  });

  test('returns the fields that are asked for, nested ones at the root', async () => {
    const { app } = startGateway();
    const response_fields = [
      'content',
      'generation_settings/n_predict',
      'timings/predicted_n',
      'nothing',
      'content/length',
      '__proto__/x',
    ];
    const reply = await post(app, '/completion', { prompt: 'x', n_predict: 3, response_fields });
    expect(reply.json()).toEqual({ content: 'Hello world', n_predict: 3, predicted_n: 2 });
  });

  test.each<[fields: object, code: string, param: string]>([
    [{ prompt: undefined }, 'missing_required_parameter', 'prompt'],
    [{ prompt: 5 }, 'invalid_value', 'prompt'],
    [{ prompt: [] }, 'invalid_value', 'prompt'],
    [{ prompt: [1, 32_000] }, 'invalid_value', 'prompt[1]'],
    [{ prompt: [1, [2]] }, 'invalid_value', 'prompt[1]'],
    [{ prompt: {} }, 'missing_required_parameter', 'prompt.prompt_string'],
    [
      { prompt: { prompt_string: 'x', multimodal_data: ['aGk='] } },
      'unsupported_parameter',
      'prompt.multimodal_data',
    ],
    [{ post_sampling_probs: true }, 'unsupported_parameter', 'post_sampling_probs'],
    [{ lora: [{ id: 0, scale: 1 }] }, 'unsupported_parameter', 'lora'],
    [{ grammar: 'root ::= missing' }, 'unsupported_parameter', 'grammar'],
    [{ n_predict: -3 }, 'invalid_value', 'n_predict'],
    [{ n_cmpl: 5 }, 'invalid_value', 'n'],
    [{ n_probs: 101 }, 'invalid_value', 'n_probs'],
  ])('refuses %j', async (fields, code, param) => {
    const { app, engine } = startGateway();
    const reply = await post(app, '/completion', { prompt: 'x', ...fields });
    expect(reply.statusCode).toBe(400);
    expect(reply.json().error).toMatchObject({ code, param });
    expect(engine.requests).toEqual([]);
  });
});

describe('a stream of /completion', () => {
  test('has pieces, then the rest with stop: true, and no [DONE]', async () => {
    const { app, engine } = startGateway();
    engine.script.parts = [
      { type: 'text-delta', text: 'Hel', ids: [5] },
      { type: 'text-delta', text: 'lo', ids: [6, 7] },
    ];
    engine.script.end = { ids: [2] };
    const reply = await post(app, '/completion', { prompt: 'one two', stream: true });
    expect(reply.headers['content-type']).toContain('text/event-stream');
    expect(reply.body).not.toContain('[DONE]');
    const frames = readFrames(reply.body);
    const piece = { index: 0, stop: false, id_slot: -1, tokens_evaluated: 2 };
    expect(frames.slice(0, 3)).toEqual([
      { ...piece, content: 'Hel', tokens: [5], tokens_predicted: 1 },
      { ...piece, content: 'lo', tokens: [6, 7], tokens_predicted: 3 },
      { ...piece, content: '', tokens: [2], tokens_predicted: 4 },
    ]);
    for (const frame of frames.slice(0, 3)) expect(Schema.Check(LlamaPiece, frame)).toBe(true);
    expect(frames).toHaveLength(4);
    expect(Schema.Check(LlamaChoice, frames[3])).toBe(true);
    expect(frames[3]).toMatchObject({ content: '', tokens: [], stop: true, stop_type: 'eos' });
  });

  test('shows how far the prompt is, on request', async () => {
    const { app, engine } = startGateway();
    const progress = { promptTokenCount: 9, cachedTokenCount: 4, processedTokenCount: 6, ms: 3 };
    engine.script.parts = [{ type: 'prompt-progress', ...progress } as never, 'Hi'];
    const reply = await post(app, '/completion', {
      prompt: 'x',
      stream: true,
      return_progress: true,
    });
    expect(readFrames(reply.body)[0]).toMatchObject({
      content: '',
      tokens: [],
      prompt_progress: { total: 9, cache: 4, processed: 6, time_ms: 3 },
    });
  });

  test('ends each choice by itself', async () => {
    const { app } = startGateway();
    const body = {
      prompt: ['a', 'b'],
      stream: true,
      response_fields: ['index', 'stop', 'content'],
    };
    const frames = readFrames((await post(app, '/completion', body)).body);
    const ends = frames.filter((frame) => 'stop' in frame && frame.stop);
    expect(ends).toHaveLength(2);
    expect(ends).toContainEqual({ index: 1, stop: true, content: '' });
  });

  test('that fails ends with an error', async () => {
    const { app, engine } = startGateway();
    engine.script.failure = { at: 1, error: new Error('boom') };
    const reply = await post(app, '/completion', { prompt: 'x', stream: true });
    expect(readFrames(reply.body).at(-1)).toMatchObject({ error: { code: 'internal_error' } });
  });
});

describe('POST /infill', () => {
  test('asks for the text between, after the other texts', async () => {
    const { app, engine } = startGateway();
    const reply = await post(app, '/infill', {
      input_prefix: 'def add(a, b):',
      input_suffix: 'print(add(1, 2))',
      input_extra: [
        { filename: 'a.py', text: 'import b' },
        { text: 'x', filename: null },
      ],
      prompt: '  return',
      n_predict: 128,
    });
    expect(reply.statusCode, reply.body).toBe(200);
    expect(engine.plainPrompts).toEqual([
      {
        prefix: 'def add(a, b):',
        suffix: 'print(add(1, 2))',
        prompt: '  return',
        extra: [{ filename: 'a.py', text: 'import b' }, { text: 'x' }],
        maxTokenCount: 2048 - 128,
      },
    ]);
    expect(reply.json()).toMatchObject({ content: 'Hello world', truncated: false });
  });

  test('takes what llama.vim sends', async () => {
    const { app, engine } = startGateway();
    const reply = await post(app, '/infill', {
      id_slot: 0,
      input_prefix: 'a\n',
      input_suffix: 'b\n',
      input_extra: [],
      prompt: '',
      n_predict: 128,
      stop: [],
      n_indent: 4,
      top_k: 40,
      top_p: 0.9,
      stream: false,
      samplers: ['top_k', 'top_p', 'infill'],
      cache_prompt: true,
      t_max_prompt_ms: 500,
      t_max_predict_ms: 1000,
      response_fields: ['content', 'timings/prompt_n', 'timings/predicted_ms', 'truncated'],
    });
    expect(reply.statusCode, reply.body).toBe(200);
    expect(Object.keys(reply.json()).sort()).toEqual(
      ['content', 'predicted_ms', 'prompt_n', 'truncated'].sort(),
    );
    expect(engine.requests[0]).toMatchObject({
      maxTokens: 128,
      minIndent: 4,
      maxDecodeMs: 1000,
      sampling: { topK: 40, topP: 0.9, samplers: ['top_k', 'top_p', 'infill'] },
    });
    const warmUp = { input_prefix: '', input_suffix: '', n_predict: 0, samplers: [] };
    expect((await post(app, '/infill', warmUp)).statusCode).toBe(200);
  });

  test.each<[body: object, room: number]>([
    [{}, 2048 - 256],
    [{ n_predict: -1 }, 2048 - 256],
    [{ n_predict: 0 }, 2047],
    [{ n_predict: 5000 }, 1024],
  ])('with %j has room for %i tokens of the prompt', async (body, maxTokenCount) => {
    const { app, engine } = startGateway();
    await post(app, '/infill', { input_prefix: 'x', ...body });
    expect(engine.plainPrompts).toMatchObject([{ prefix: 'x', suffix: '', maxTokenCount }]);
  });

  test('says when a part had no room', async () => {
    const { app, engine } = startGateway();
    engine.script.cutPrompts = true;
    const reply = await post(app, '/infill', { input_prefix: 'x', input_suffix: 'y' });
    expect(reply.json().truncated).toBe(true);
  });

  test('is refused by a model without marks for gaps', async () => {
    const { app } = startGateway({ engineInfo: { infill: false } });
    const reply = await post(app, '/infill', { input_prefix: 'x', input_suffix: 'y' });
    expect(reply.statusCode).toBe(400);
    expect(reply.json().error).toMatchObject({ code: 'unsupported_model', param: 'model' });
    expect(reply.json().error.message).toContain('cannot fill gaps');
  });

  test.each<[body: object, code: string, param: string]>([
    [{}, 'missing_required_parameter', 'input_prefix'],
    [{ input_prefix: 5 }, 'invalid_value', 'input_prefix'],
    [{ input_prefix: 'x', input_extra: 'y' }, 'invalid_value', 'input_extra'],
    [{ input_prefix: 'x', input_extra: [{}] }, 'missing_required_parameter', 'input_extra[0].text'],
    [{ input_prefix: 'x', prompt: ['a'] }, 'invalid_value', 'prompt'],
    [{ input_prefix: 'x', samplers: ['nothing'] }, 'invalid_value', 'samplers[0]'],
  ])('refuses %j', async (body, code, param) => {
    const { app } = startGateway();
    const reply = await post(app, '/infill', body);
    expect(reply.statusCode).toBe(400);
    expect(reply.json().error).toMatchObject({ code, param });
  });
});

test('both are 503 without a model and 400 with one that only embeds', async () => {
  for (const url of ['/completion', '/infill']) {
    const body = { prompt: 'x', input_prefix: 'x' };
    const { app } = startGateway({ loading: true });
    expect((await post(app, url, body)).statusCode).toBe(503);
    const { app: embedding } = startGateway({ engineInfo: { generates: false } });
    expect((await post(embedding, url, body)).json().error.code).toBe('unsupported_model');
  }
});
