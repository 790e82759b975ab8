import Schema from 'typebox/schema';
import { describe, expect, test } from 'vitest';
import { Completion, CompletionChunk } from '../../src/api/text/completion-shapes.ts';
import { GatewayError } from '../../src/core/errors.ts';
import { gate } from '../support/fake-engine.ts';
import { fitsOpenAiSchema, hasOpenAiSchemas } from '../support/openai-schemas.ts';
import { parseSse } from '../support/read-sse.ts';
import { card, listen, postText, startGateway } from '../support/start-gateway.ts';

const forever = new Promise<void>(() => {});

function chunksOf(body: string): CompletionChunk[] {
  return parseSse(body).flatMap((frame) => (frame === 'done' ? [] : [frame.json])) as never;
}

describe('a text completion', () => {
  test('is the text with every key of the schema', async () => {
    const { app, engine } = startGateway();
    engine.script.cachedTokenCount = 1;

    const reply = await postText(app);

    expect(reply.statusCode).toBe(200);
    expect(Schema.Check(Completion, reply.json())).toBe(true);
    expect(reply.json()).toEqual({
      id: expect.stringMatching(/^cmpl-[0-9a-f]{32}$/),
      object: 'text_completion',
      created: expect.any(Number),
      model: card.id,
      system_fingerprint: expect.stringMatching(/^fp_[0-9a-f]{10}$/),
      choices: [{ index: 0, text: 'Hello world', logprobs: null, finish_reason: 'stop' }],
      usage: {
        prompt_tokens: 4,
        completion_tokens: 2,
        total_tokens: 6,
        prompt_tokens_details: { cached_tokens: 1 },
        completion_tokens_details: { reasoning_tokens: 0 },
      },
      timings: expect.any(Object),
    });
    expect(engine.plainPrompts).toEqual([{ text: 'Once upon a time' }]);
    expect(engine.preparedChats).toEqual([]);
  });

  test('says `length` when the limit ended it', async () => {
    const { app, engine } = startGateway();
    engine.script.finishReason = 'length';
    expect((await postText(app)).json().choices[0].finish_reason).toBe('length');
  });

  test('fits the official schema', async ({ skip }) => {
    if (!hasOpenAiSchemas) return skip('OPENAI_SCHEMAS is not set');
    const { app } = startGateway();
    const whole = (await postText(app, { n: 2, echo: true })).json();
    expect(fitsOpenAiSchema('CreateCompletionResponse', whole)).toBe(true);
    expect(fitsOpenAiSchema('CreateCompletionResponse', { ...whole, object: 'x' })).toBe(false);
  });
});

describe('what reaches the engine', () => {
  test.each([
    ['nothing when nothing is said', {}, {}],
    ['nothing for null', { max_tokens: null, stop: null, suffix: null, best_of: null }, {}],
    ['max_tokens', { max_tokens: 7 }, { maxTokens: 7 }],
    ['stop strings', { stop: ['a', 'b'] }, { stop: ['a', 'b'] }],
    [
      'sampling parameters',
      { temperature: 0, top_p: 0.5, seed: -2, ignore_eos: true },
      { sampling: { temperature: 0, topP: 0.5, seed: -2n, ignoreEos: true } },
    ],
  ])('is %s', async (_name, fields, expected) => {
    const { app, engine } = startGateway();
    const reply = await postText(app, fields);
    expect(reply.statusCode, reply.body).toBe(200);
    const { prompt: _prompt, ...options } = engine.requests[0] ?? { prompt: undefined };
    expect(options).toEqual({ sampling: {}, ...expected });
  });

  test.each([
    ['a text', 'a b', [{ text: 'a b' }]],
    ['an empty text', '', [{ text: '' }]],
    ['several texts', ['a', 'b'], [{ text: 'a' }, { text: 'b' }]],
    ['token ids', [1, 2, 31_999], [{ tokens: [1, 2, 31_999] }]],
    ['several prompts of token ids', [[1], [2, 3]], [{ tokens: [1] }, { tokens: [2, 3] }]],
    ['texts beside token ids', ['a', [7]], [{ text: 'a' }, { tokens: [7] }]],
    // The fake engine numbers the words of each text from 0.
    ['texts and token ids as one prompt', [9, 'a b', 7, 8], [{ tokens: [9, 0, 1, 7, 8] }]],
    ['the same within an array', [['a', 9], 'b'], [{ tokens: [0, 9] }, { text: 'b' }]],
  ])('is %s', async (_name, prompt, expected) => {
    const { app, engine } = startGateway();
    const reply = await postText(app, { prompt });
    expect(reply.statusCode, reply.body).toBe(200);
    expect(engine.plainPrompts).toHaveLength(expected.length);
    expect(engine.requests.map(({ prompt: { handle } }) => handle)).toEqual(expected);
  });

  test('is BOS before a text that comes first, and before no other', async () => {
    const { app, engine } = startGateway();
    await postText(app, { prompt: ['a', 5, 'b'] });
    expect(engine.tokenizeCalls).toEqual([
      { text: 'a', addSpecial: true, parseSpecial: true },
      { text: 'b', addSpecial: false, parseSpecial: true },
    ]);
  });

  test('is the gap between prompt and suffix', async () => {
    const { app, engine } = startGateway();
    const reply = await postText(app, { prompt: ['a', 'b'], suffix: 'z', echo: true });
    expect(engine.plainPrompts).toEqual([
      { prefix: 'a', suffix: 'z' },
      { prefix: 'b', suffix: 'z' },
    ]);
    expect(reply.json().choices[0].text).toBe('aHello world');
  });

  test('is no gap for an empty suffix, whatever the model', async () => {
    const { app, engine } = startGateway({ engineInfo: { infill: false } });
    expect((await postText(app, { suffix: '' })).statusCode).toBe(200);
    expect(engine.plainPrompts).toEqual([{ text: 'Once upon a time' }]);
  });
});

describe('several prompts and choices', () => {
  test('are numbered prompt by prompt, and counted each', async () => {
    const { app, engine } = startGateway();
    engine.script.cachedTokenCount = 1;
    const reply = await postText(app, {
      prompt: ['one', 'two words', [5, 6, 7]],
      n: 2,
      best_of: 2,
      echo: true,
      seed: 7,
    });
    expect(reply.statusCode, reply.body).toBe(200);
    expect(Schema.Check(Completion, reply.json())).toBe(true);
    const { choices, usage } = reply.json() as Completion;
    expect(choices.map(({ index, text }) => [index, text])).toEqual([
      [0, 'oneHello world'],
      [1, 'oneHello world'],
      [2, 'two wordsHello world'],
      [3, 'two wordsHello world'],
      [4, ' 5 6 7Hello world'],
      [5, ' 5 6 7Hello world'],
    ]);
    expect(usage).toMatchObject({
      prompt_tokens: 6,
      completion_tokens: 12,
      total_tokens: 18,
      prompt_tokens_details: { cached_tokens: 3 },
    });
    // A prompt gives the same among others as alone.
    expect(engine.requests.map(({ sampling }) => sampling?.seed)).toEqual([7n, 8n, 7n, 8n, 7n, 8n]);
  });

  test('run side by side, each prepared once', async () => {
    const { app, engine } = startGateway({ engineInfo: { slotCount: 8 } });
    const end = gate();
    engine.script.beforeEvent = (index) => (index === 0 ? end.opened : undefined);
    const running = postText(app, { prompt: ['a', 'b', 'c'], n: 2 });
    await engine.until(() => engine.stats().runningCount === 6);
    end.open();
    expect((await running).json().choices).toHaveLength(6);
    expect(engine.plainPrompts).toHaveLength(3);
  });

  test('end together with the first that fails', async () => {
    const { app, engine, drain } = startGateway();
    engine.script.failure = { at: 1, error: new GatewayError('sequence_failed') };
    const reply = await postText(app, { prompt: ['a', 'b'] });
    expect(reply.statusCode).toBe(500);
    expect(reply.json().error.code).toBe('sequence_failed');
    expect(engine.endings).toHaveLength(2);
    expect(drain.runningCount).toBe(0);
  });

  test('may be 128, and no more', async () => {
    const { app, engine } = startGateway();
    const prompt = Array(64).fill('x');
    expect((await postText(app, { prompt, n: 2 })).json().choices).toHaveLength(128);
    const reply = await postText(app, { prompt: [...prompt, 'x'], n: 2 });
    expect(reply.statusCode).toBe(400);
    expect(reply.json().error).toMatchObject({ code: 'invalid_value', param: 'prompt' });
    expect(reply.json().error.message).toContain('65 prompts with 2 of each');
    expect(engine.plainPrompts).toHaveLength(64);
  });

  test('that cannot be prepared are named by their place', async () => {
    const { app, engine } = startGateway();
    const cause = new Error('nothing is left');
    engine.script.prepareFailure = (index) =>
      index === 1
        ? new GatewayError('bad_request', {
            param: 'prompt',
            message: '`prompt` could not be made into tokens: nothing is left',
            cause,
          })
        : undefined;
    const reply = await postText(app, { prompt: ['a', '', 'c'] });
    expect(reply.statusCode).toBe(400);
    expect(reply.json().error).toMatchObject({
      code: 'bad_request',
      param: 'prompt[1]',
      message: '`prompt[1]` could not be made into tokens: nothing is left',
    });
    expect(engine.requests).toEqual([]);
  });
});

describe('the best of several', () => {
  test('are the likeliest of each prompt, the best first, and all are counted', async () => {
    const { app, engine } = startGateway();
    const takes = [
      ['a', -3],
      ['b', -1],
      ['c', -2],
      ['d', -Infinity],
      ['e', -5],
      ['f', -4],
    ] as const;
    engine.script.takes = takes.map(([text, totalLogprob]) => ({ text, totalLogprob }));
    const body = { prompt: ['one', 'two'], n: 2, best_of: 3, echo: true };
    const reply = await postText(app, body);
    expect(reply.statusCode, reply.body).toBe(200);
    const { choices, usage } = reply.json() as Completion;
    expect(choices.map(({ index, text }) => [index, text])).toEqual([
      [0, 'oneb'],
      [1, 'onec'],
      [2, 'twof'],
      [3, 'twoe'],
    ]);
    expect(choices.map(({ logprobs }) => logprobs)).toEqual([null, null, null, null]);
    expect(usage).toMatchObject({ prompt_tokens: 2, completion_tokens: 6 });
    for (const { logprobs } of engine.requests) {
      expect(logprobs).toEqual({ topCount: 0, prompt: false });
    }
  });

  test('tell their tokens where these are asked for', async () => {
    const { app, engine } = startGateway();
    engine.script.takes = [
      { text: 'a', totalLogprob: -2 },
      { text: 'b', totalLogprob: -1 },
    ];
    const reply = (await postText(app, { best_of: 2, logprobs: 3 })).json();
    expect(reply.choices).toHaveLength(1);
    expect(reply.choices[0]).toMatchObject({ text: 'b', logprobs: { tokens: [] } });
    expect(engine.requests[0]?.logprobs).toEqual({ topCount: 3, prompt: false });
  });

  test('are not compared where all are sent, streamed or not', async () => {
    const { app, engine } = startGateway();
    for (const stream of [false, true]) {
      const reply = await postText(app, { n: 2, best_of: 2, stream });
      expect(reply.statusCode).toBe(200);
    }
    for (const request of engine.requests) expect(request).not.toHaveProperty('logprobs');
  });
});

describe('a stream', () => {
  const head = {
    id: expect.stringMatching(/^cmpl-[0-9a-f]{32}$/),
    object: 'text_completion',
    created: expect.any(Number),
    model: card.id,
    system_fingerprint: expect.stringMatching(/^fp_/),
  };
  const choice = (text: string, finishReason: string | null = null) => ({
    index: 0,
    text,
    logprobs: null,
    finish_reason: finishReason,
  });

  test('is the text, the finish reason and [DONE]', async () => {
    const { app } = startGateway();
    const reply = await postText(app, { stream: true });
    expect(reply.headers).toMatchObject({
      'content-type': 'text/event-stream',
      'cache-control': 'no-cache',
    });
    expect(parseSse(reply.body)).toEqual([
      { json: { ...head, choices: [choice('Hello')] } },
      { json: { ...head, choices: [choice(' world')] } },
      { json: { ...head, choices: [choice('', 'stop')], timings: expect.any(Object) } },
      'done',
    ]);
    const chunks = chunksOf(reply.body);
    for (const chunk of chunks) expect(Schema.Check(CompletionChunk, chunk)).toBe(true);
    expect(new Set(chunks.map(({ id }) => id)).size).toBe(1);
  });

  test('begins with the prompt for `echo`, and ends with the usage where it is asked for', async () => {
    const { app } = startGateway();
    const reply = await postText(app, {
      prompt: 'a',
      echo: true,
      stream: true,
      stream_options: { include_usage: true },
    });
    const usage = {
      prompt_tokens: 1,
      completion_tokens: 2,
      total_tokens: 3,
      prompt_tokens_details: { cached_tokens: 0 },
      completion_tokens_details: { reasoning_tokens: 0 },
    };
    expect(parseSse(reply.body)).toEqual([
      { json: { ...head, choices: [choice('a')], usage: null } },
      { json: { ...head, choices: [choice('Hello')], usage: null } },
      { json: { ...head, choices: [choice(' world')], usage: null } },
      { json: { ...head, choices: [choice('', 'stop')], usage: null } },
      { json: { ...head, choices: [], usage, timings: expect.any(Object) } },
      'done',
    ]);
  });

  test('of several prompts and choices puts each together under its index', async () => {
    const { app } = startGateway();
    const reply = await postText(app, { prompt: ['a', [5]], n: 2, echo: true, stream: true });
    const choices = chunksOf(reply.body).flatMap((chunk) => chunk.choices);
    const texts = [0, 1, 2, 3].map((index) =>
      choices.flatMap((each) => (each.index === index ? [each.text] : [])).join(''),
    );
    expect(texts).toEqual(['aHello world', 'aHello world', ' 5Hello world', ' 5Hello world']);
    expect(choices.filter(({ finish_reason }) => finish_reason === 'stop')).toHaveLength(4);
  });

  test('keeps any text whole and inside its frame', async () => {
    const { app, engine } = startGateway();
    const texts = ['\n\ndata: [DONE]\n\n', '"\\\u2028\u0000', '👩‍🚀 — ü', '\r\n'];
    engine.script.parts = texts;
    const reply = await postText(app, { prompt: '\n\n"', echo: true, stream: true });
    expect(chunksOf(reply.body).map(({ choices }) => choices[0]?.text)).toEqual([
      '\n\n"',
      ...texts,
      '',
    ]);
  });

  test('that fails before its first event is a plain error, after it an error frame', async () => {
    const { app, engine } = startGateway();
    engine.script.failure = { at: 0, error: new GatewayError('context_length_exceeded') };
    const plain = await postText(app, { stream: true, echo: true });
    expect(plain.statusCode).toBe(400);
    expect(plain.json().error.code).toBe('context_length_exceeded');

    engine.script.failure = { at: 1, error: new GatewayError('engine_failed') };
    const streamed = await postText(app, { stream: true });
    expect(streamed.statusCode).toBe(200);
    expect(parseSse(streamed.body)).toEqual([
      { json: { ...head, choices: [choice('Hello')] } },
      { json: new GatewayError('engine_failed').toBody() },
    ]);
  });
});

describe('values that are refused', () => {
  test.each([
    [{ prompt: undefined }, 'prompt', 'missing_required_parameter', 'is required'],
    [{ prompt: null }, 'prompt', 'invalid_value', 'must be a string or a non-empty array'],
    [{ prompt: 5 }, 'prompt', 'invalid_value', 'received 5'],
    [{ prompt: [] }, 'prompt', 'invalid_value', 'received an empty array'],
    [{ prompt: [[]] }, 'prompt[0]', 'invalid_value', 'received an empty array'],
    [{ prompt: [1, 2.5] }, 'prompt[1]', 'invalid_value', 'received 2.5'],
    [{ prompt: [-1] }, 'prompt[0]', 'invalid_value', 'received -1'],
    [{ prompt: ['a', null] }, 'prompt[1]', 'invalid_value', 'received null'],
    [{ prompt: [[1], [1, '2', 0, 3.5]] }, 'prompt[1][3]', 'invalid_value', 'received 3.5'],
    [{ prompt: [[1], [[2]]] }, 'prompt[1][0]', 'invalid_value', 'received an array'],
    [{ prompt: [1, 'a', [2]] }, 'prompt[2]', 'invalid_value', 'received an array'],
    [{ prompt: 32_000 }, 'prompt', 'invalid_value', 'received 32000'],
    [{ prompt: [0, 32_000] }, 'prompt[1]', 'invalid_value', 'a token id below 32000'],
    [{ prompt: [[1], [1, 'x', 0, 2 ** 40]] }, 'prompt[1][3]', 'invalid_value', '1099511627776'],
    [{ prompt: 'a\ud800' }, 'prompt', 'invalid_value', 'half of a surrogate pair'],
    [{ prompt: ['a', 'b\udc00'] }, 'prompt[1]', 'invalid_value', 'half of a surrogate pair'],
    [{ prompt: [1, '\ud800'] }, 'prompt[1]', 'invalid_value', 'half of a surrogate pair'],
    [{ suffix: '\ud800' }, 'suffix', 'invalid_value', 'half of a surrogate pair'],
    [{ suffix: 5 }, 'suffix', 'invalid_value', 'must be a string or null, received 5'],
    [{ suffix: 'z', prompt: [1] }, 'suffix', 'invalid_value', 'prompts that are strings'],
    [{ echo: 1 }, 'echo', 'invalid_value', 'must be a boolean or null, received 1'],
    [{ n: 0 }, 'n', 'invalid_value', 'received 0'],
    [{ n: 5 }, 'n', 'invalid_value', 'at most 4, the number of this server'],
    [{ best_of: 0 }, 'best_of', 'invalid_value', 'received 0'],
    [{ best_of: 129 }, 'best_of', 'invalid_value', 'between 1 and 128'],
    [{ best_of: 5 }, 'best_of', 'invalid_value', 'at most 4, the number of this server'],
    [{ n: 2, best_of: 1 }, 'best_of', 'invalid_value', 'must be at least `n`, 2, received 1'],
    [{ best_of: 2, stream: true }, 'best_of', 'invalid_value', 'together with `stream: true`'],
    [{ logprobs: 21 }, 'logprobs', 'invalid_value', 'between 0 and 20'],
    [{ logprobs: true }, 'logprobs', 'invalid_value', 'received true'],
    [{ logprobs: 0, echo: true, suffix: 'z' }, 'suffix', 'unsupported_parameter', 'leave it out'],
    [{ top_logprobs: 3 }, 'top_logprobs', 'unsupported_parameter', 'leave it out'],
    [{ max_tokens: -3 }, 'max_tokens', 'invalid_value', 'at least -2'],
    [{ temperature: 101 }, 'temperature', 'invalid_value', 'between 0 and 100'],
    [{ tools: [{ type: 'function' }] }, 'tools', 'unsupported_parameter', ''],
    [{ reasoning_effort: 'low' }, 'reasoning_effort', 'unsupported_parameter', ''],
    [{ thinking_budget_tokens: 5 }, 'thinking_budget_tokens', 'unsupported_parameter', ''],
    [{ chat_template_kwargs: { a: 1 } }, 'chat_template_kwargs', 'unsupported_parameter', ''],
  ])('%j names %s', async (fields, param, code, message) => {
    const { app, engine } = startGateway();
    const reply = await postText(app, fields);
    expect(reply.statusCode).toBe(400);
    expect(reply.json().error).toMatchObject({ type: 'invalid_request_error', param, code });
    expect(reply.json().error.message).toContain(param);
    expect(reply.json().error.message).toContain(message);
    expect(engine.plainPrompts).toEqual([]);
  });

  test('a suffix where the model cannot fill gaps', async () => {
    const { app } = startGateway({ engineInfo: { infill: false } });
    const reply = await postText(app, { suffix: 'z' });
    expect(reply.statusCode).toBe(400);
    expect(reply.json().error).toMatchObject({ param: 'suffix', code: 'unsupported_parameter' });
    expect(reply.json().error.message).toContain('cannot fill gaps');
  });

  test.each([
    { user: 'u', best_of: 1, echo: false, logprobs: null, suffix: null },
    { tools: [], tool_choice: 'none', reasoning_effort: 'none', parallel_tool_calls: true },
    { frequency_penalty: 0, presence_penalty: 0, logit_bias: {}, n: null },
  ])('are not those that ask for nothing: %j', async (fields) => {
    const { app, logLines } = startGateway();
    const reply = await postText(app, fields);
    expect(reply.statusCode, reply.body).toBe(200);
    expect(logLines).not.toContainEqual(expect.objectContaining({ msg: 'unknown fields ignored' }));
  });

  test('are not unknown fields, which a debug line names', async () => {
    const { app, logLines } = startGateway();
    expect((await postText(app, { zeal: 11 })).statusCode).toBe(200);
    expect(logLines).toContainEqual(expect.objectContaining({ level: 20, fields: ['zeal'] }));
  });
});

describe('the surroundings', () => {
  test('a model other than the served one is refused only when models are strict', async () => {
    expect((await postText(startGateway().app, { model: 'gpt-9' })).json().model).toBe(card.id);
    const { app } = startGateway({ strictModel: true });
    expect((await postText(app, { model: 'gpt-9' })).statusCode).toBe(404);
    expect((await postText(app, { model: undefined })).json().error).toMatchObject({
      code: 'missing_required_parameter',
      param: 'model',
    });
  });

  test('no model is 503', async () => {
    const reply = await postText(startGateway({ loading: true }).app);
    expect(reply.statusCode).toBe(503);
    expect(reply.json().error.code).toBe('model_loading');
  });

  test('a server that drains lets all choices end, and at the deadline aborts all', async () => {
    const { app, engine, drain } = startGateway({ engineInfo: { slotCount: 8 } });
    engine.script.beforeEvent = (index) => (index === 1 ? forever : undefined);
    const prompt = ['a', 'b', 'c'];
    const running = [postText(app, { prompt, stream: true }), postText(app, { prompt })];
    await engine.until(({ eventCount }) => eventCount === 6);

    expect(await drain.finish(0)).toBe(2);

    const [streamed, plain] = await Promise.all(running);
    expect(parseSse(streamed?.body ?? '').at(-1)).toMatchObject({
      json: { error: { code: 'shutting_down' } },
    });
    expect(plain?.statusCode).toBe(503);
    expect(engine.endings).toEqual(Array(6).fill('cancelled'));
    expect((await postText(app)).json().error.code).toBe('shutting_down');
  });

  test.each([true, false])(
    'a client that leaves ends all its choices, with stream %j',
    async (stream) => {
      const { app, engine, drain } = startGateway();
      engine.script.beforeEvent = (index) => (index === 1 ? forever : undefined);
      const { baseUrl } = await listen(app);
      const leave = new AbortController();
      const asked = fetch(`${baseUrl}/v1/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ prompt: ['a', 'b'], n: 2, stream }),
        signal: leave.signal,
      });
      asked.catch(() => {});
      await engine.until(({ eventCount }) => eventCount === 4);

      leave.abort();

      await engine.until(({ endings }) => endings.length === 4);
      expect(engine.endings).toEqual(Array(4).fill('cancelled'));
      expect(await drain.finish(2000)).toBe(0);
    },
  );

  test('a client that does not read stops all its choices', async () => {
    const { app, engine } = startGateway();
    engine.script.parts = Array(1000).fill('x'.repeat(10_000));
    const { baseUrl } = await listen(app);
    const reply = await fetch(`${baseUrl}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ prompt: ['a', 'b'], stream: true }),
    });
    let before = -1;
    while (engine.eventCount !== before) {
      before = engine.eventCount;
      for (let turn = 0; turn < 200; turn++) await new Promise(setImmediate);
    }
    expect(engine.eventCount).toBeLessThan(2000);
    expect(parseSse(await reply.text())).toHaveLength(2003);
  });
});
