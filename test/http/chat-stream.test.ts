import Schema from 'typebox/schema';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { ChatCompletionChunk } from '../../src/api/chat/chat-shapes.ts';
import { pingFrame, pingIntervalMs } from '../../src/api/generation/sse.ts';
import { GatewayError } from '../../src/core/errors.ts';
import { gate } from '../support/fake-engine.ts';
import { parseSse, readSse } from '../support/read-sse.ts';
import { card, chatBody, listen, postChat, startGateway } from '../support/start-gateway.ts';

const opening = {
  id: expect.stringMatching(/^chatcmpl-[0-9a-f]{32}$/),
  object: 'chat.completion.chunk',
  created: expect.any(Number),
  model: card.id,
  system_fingerprint: expect.stringMatching(/^fp_/),
};

function choice(delta: object, finishReason: string | null = null) {
  return { index: 0, delta, logprobs: null, finish_reason: finishReason };
}

const roleDelta = { role: 'assistant', content: '', refusal: null };

const failureBody = {
  error: {
    message: 'The inference engine failed.',
    type: 'server_error',
    param: null,
    code: 'engine_failed',
  },
};

describe('a stream', () => {
  test('is the role, the text, the finish reason and [DONE]', async () => {
    const { app } = startGateway();

    const reply = await postChat(app, { stream: true });

    expect(reply.statusCode).toBe(200);
    expect(reply.headers).toMatchObject({
      'content-type': 'text/event-stream',
      'cache-control': 'no-cache',
      'x-accel-buffering': 'no',
    });
    const frames = parseSse(reply.body);
    expect(frames).toEqual([
      { json: { ...opening, choices: [choice(roleDelta)] } },
      { json: { ...opening, choices: [choice({ content: 'Hello' })] } },
      { json: { ...opening, choices: [choice({ content: ' world' })] } },
      { json: { ...opening, choices: [choice({}, 'stop')], timings: expect.any(Object) } },
      'done',
    ]);
    const chunks = frames.filter((frame) => frame !== 'done').map(({ json }) => json);
    for (const chunk of chunks) expect(Schema.Check(ChatCompletionChunk, chunk)).toBe(true);
    expect(new Set(chunks.map((chunk) => (chunk as { id: string }).id)).size).toBe(1);
  });

  test('carries null usage on every chunk and the usage on a last one when it is asked for', async () => {
    const { app } = startGateway();

    const reply = await postChat(app, { stream: true, stream_options: { include_usage: true } });

    const usage = {
      prompt_tokens: 3,
      completion_tokens: 2,
      total_tokens: 5,
      prompt_tokens_details: { cached_tokens: 0 },
      completion_tokens_details: { reasoning_tokens: 0 },
    };
    expect(parseSse(reply.body)).toEqual([
      { json: { ...opening, choices: [choice(roleDelta)], usage: null } },
      { json: { ...opening, choices: [choice({ content: 'Hello' })], usage: null } },
      { json: { ...opening, choices: [choice({ content: ' world' })], usage: null } },
      { json: { ...opening, choices: [choice({}, 'stop')], usage: null } },
      { json: { ...opening, choices: [], usage, timings: expect.any(Object) } },
      'done',
    ]);
  });

  test.each([{ include_usage: false }, { include_usage: null }, {}])(
    'has no usage with %j',
    async (options) => {
      const { app } = startGateway();
      const reply = await postChat(app, { stream: true, stream_options: options });
      expect(reply.body).not.toContain('usage');
    },
  );

  test('has a role and a finish chunk when the model says nothing', async () => {
    const { app, engine } = startGateway();
    engine.script.parts = [];
    engine.script.finishReason = 'length';
    const reply = await postChat(app, { stream: true });
    expect(parseSse(reply.body)).toEqual([
      { json: { ...opening, choices: [choice(roleDelta)] } },
      { json: { ...opening, choices: [choice({}, 'length')], timings: expect.any(Object) } },
      'done',
    ]);
  });

  test('keeps any text whole and inside its frame', async () => {
    const { app, engine } = startGateway();
    const texts = ['\n\ndata: [DONE]\n\n', '"\\\u2028\u0000', '👩‍🚀 — ü', '\r\n', ' '];
    engine.script.parts = texts;
    const reply = await postChat(app, { stream: true });
    const contents = parseSse(reply.body)
      .filter((frame) => frame !== 'done')
      .map(({ json }) => (json as ChatCompletionChunk).choices[0]?.delta.content);
    expect(contents).toEqual(['', ...texts, undefined]);
  });

  test('sends each text when it is there, not when the next one is', async () => {
    const { app, engine } = startGateway();
    const second = gate();
    engine.script.beforeEvent = (index) => (index === 1 ? second.opened : undefined);
    const { baseUrl } = await listen(app);

    const reply = await fetch(`${baseUrl}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(chatBody({ stream: true })),
    });
    const frames = readSse(reply.body as ReadableStream<Uint8Array>);

    await frames.next();
    const first = await frames.next();
    expect(first.value).toMatchObject({ json: { choices: [{ delta: { content: 'Hello' } }] } });
    second.open();
    const next = await frames.next();
    expect(next.value).toMatchObject({ json: { choices: [{ delta: { content: ' world' } }] } });
    const rest: unknown[] = [];
    for await (const frame of frames) rest.push(frame);
    expect(rest).toHaveLength(2);
  });

  test('keeps 16 streams apart', async () => {
    const { app, engine } = startGateway();
    engine.script.parts = Array.from({ length: 50 }, (_, index) => ` ${index}`);
    const { baseUrl } = await listen(app);
    const replies = await Promise.all(
      Array.from({ length: 16 }, async () => {
        const reply = await fetch(`${baseUrl}/v1/chat/completions`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify(chatBody({ stream: true })),
        });
        return parseSse(await reply.text());
      }),
    );
    const ids = replies.map((frames) => {
      const chunks = frames.filter((frame) => frame !== 'done').map(({ json }) => json);
      expect(chunks).toHaveLength(52);
      const own = new Set((chunks as ChatCompletionChunk[]).map(({ id }) => id));
      expect(own.size).toBe(1);
      return [...own][0];
    });
    expect(new Set(ids).size).toBe(16);
  });

  test('waits for a client that does not read', async () => {
    const { app, engine } = startGateway();
    engine.script.parts = Array(2000).fill('x'.repeat(10_000));
    const { baseUrl } = await listen(app);
    const reply = await fetch(`${baseUrl}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(chatBody({ stream: true })),
    });
    // The engine has stalled once it says nothing more between two looks at it.
    let before = -1;
    while (engine.eventCount !== before) {
      before = engine.eventCount;
      for (let turn = 0; turn < 200; turn++) await new Promise(setImmediate);
    }
    expect(engine.eventCount).toBeLessThan(2000);

    expect(parseSse(await reply.text())).toHaveLength(2003);
  });
});

describe('a stream whose first token is long in coming', () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  /** Posts a chat whose reply waits, and lets this much time pass. */
  async function waitingFor(timeMs: number) {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] });
    const gateway = startGateway();
    const first = gate();
    gateway.engine.script.beforeEvent = (index) => (index === 0 ? first.opened : undefined);
    const reply = postChat(gateway.app, { stream: true });
    await gateway.engine.until(({ requests }) => requests.length === 1);
    await vi.advanceTimersByTimeAsync(timeMs);
    return { ...gateway, reply, proceed: first.open };
  }

  test('gets pings in the meantime', async () => {
    const { reply, proceed } = await waitingFor(3.5 * pingIntervalMs);
    proceed();
    const { statusCode, headers, body } = await reply;
    expect(statusCode).toBe(200);
    expect(headers['content-type']).toBe('text/event-stream');
    const pings = pingFrame.repeat(3);
    expect(body.slice(0, pings.length)).toBe(pings);
    expect(body.slice(pings.length)).not.toContain(pingFrame);
    expect(parseSse(body.slice(pings.length))).toHaveLength(5);
  });

  test('gets none where the token comes in time', async () => {
    const { reply, proceed } = await waitingFor(pingIntervalMs - 1);
    proceed();
    expect((await reply).body).not.toContain(pingFrame);
  });

  test('fails plainly before the first ping, and with an error frame after it', async () => {
    for (const [timeMs, statusCode] of [
      [pingIntervalMs - 1, 500],
      [pingIntervalMs, 200],
    ] as const) {
      const { reply, proceed, engine, drain } = await waitingFor(timeMs);
      engine.script.failure = { at: 0, error: new GatewayError('engine_failed') };
      proceed();
      const { body, ...head } = await reply;
      expect(head.statusCode).toBe(statusCode);
      if (statusCode === 500) expect(JSON.parse(body)).toEqual(failureBody);
      else expect(body).toBe(`${pingFrame}data: ${JSON.stringify(failureBody)}\n\n`);
      expect(drain.runningCount).toBe(0);
      vi.useRealTimers();
    }
  });

  test('frees its slot when the client leaves after a ping', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] });
    const { app, engine } = startGateway();
    const never = gate();
    engine.script.beforeEvent = () => never.opened;
    const { baseUrl } = await listen(app);
    const client = new AbortController();
    const asked = fetch(`${baseUrl}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(chatBody({ stream: true })),
      signal: client.signal,
    });
    await engine.until(({ requests }) => requests.length === 1);
    await vi.advanceTimersByTimeAsync(pingIntervalMs);
    vi.useRealTimers();
    expect((await asked).status).toBe(200);
    client.abort();
    await engine.until(({ endings }) => endings.length === 1);
    expect(engine.endings).toEqual(['cancelled']);
  });
});

describe('a failure', () => {
  test('before the first event is a plain error', async () => {
    const { app, engine } = startGateway();
    engine.script.failure = { at: 0, error: new GatewayError('context_length_exceeded') };
    const reply = await postChat(app, { stream: true });
    expect(reply.statusCode).toBe(400);
    expect(reply.headers['content-type']).toContain('application/json');
    expect(reply.json().error.code).toBe('context_length_exceeded');
  });

  test('after it is an error frame without [DONE]', async () => {
    const { app, engine, logLines } = startGateway();
    const error = new GatewayError('engine_failed', { cause: new Error('secret detail') });
    engine.script.failure = { at: 1, error };
    const reply = await postChat(app, { stream: true });
    expect(reply.statusCode).toBe(200);
    expect(parseSse(reply.body)).toEqual([
      { json: { ...opening, choices: [choice(roleDelta)] } },
      { json: { ...opening, choices: [choice({ content: 'Hello' })] } },
      { json: failureBody },
    ]);
    expect(reply.body).not.toContain('secret');
    expect(logLines).toContainEqual(
      expect.objectContaining({
        level: 50,
        code: 'engine_failed',
        err: expect.objectContaining({ message: 'secret detail' }),
      }),
    );
  });

  test('that nobody foresaw says nothing of itself', async () => {
    const { app, engine } = startGateway();
    engine.script.failure = { at: 2, error: new Error('secret detail') };
    const reply = await postChat(app, { stream: true });
    expect(parseSse(reply.body).at(-1)).toMatchObject({
      json: { error: { type: 'server_error', param: null, code: 'internal_error' } },
    });
    expect(reply.body).not.toContain('secret');
  });

  test('of an engine that was closed under the stream is `shutting_down`', async () => {
    const { app, engine } = startGateway();
    engine.script.finishReason = 'cancelled';
    const reply = await postChat(app, { stream: true });
    expect(parseSse(reply.body).at(-1)).toMatchObject({
      json: { error: { code: 'shutting_down' } },
    });
  });

  test('leaves no generation behind', async () => {
    const { app, engine, drain } = startGateway();
    for (const at of [0, 1, 2]) {
      engine.script.failure = { at, error: new Error('x') };
      await postChat(app, { stream: true });
      await postChat(app);
    }
    expect(drain.runningCount).toBe(0);
    expect(engine.stats().runningCount).toBe(0);
  });
});
