import { describe, expect, test } from 'vitest';
import { MemoryStore } from '../../src/access/limits/memory-store.ts';
import { GatewayError } from '../../src/core/errors.ts';
import { chatBody, listen, postChat, startGateway } from '../support/start-gateway.ts';
import { bearer, secrets, withKeys } from '../support/test-keys.ts';

const secret = 'sk-very-secret';

function start(format: 'text' | 'json' = 'json', options: Parameters<typeof startGateway>[0] = {}) {
  const fileLines: string[] = [];
  const file = { write: (line: string) => fileLines.push(line) };
  const gateway = startGateway({ ...options, accessLog: { format, file } });
  const lines = () => gateway.logLines.filter(({ msg }) => msg === 'request completed');
  return { ...gateway, fileLines, lines };
}

describe('the access log', () => {
  test.each([true, false])('has a line for a completion, streamed: %s', async (stream) => {
    const { app, engine, lines } = start();
    engine.script.cachedTokenCount = 2;
    const reply = await postChat(app, { stream });
    expect(lines()).toEqual([
      expect.objectContaining({
        level: 30,
        requestId: reply.headers['x-request-id'],
        client: '127.0.0.1',
        method: 'POST',
        path: '/v1/chat/completions',
        status: 200,
        sentBytes: Buffer.byteLength(reply.body),
        promptTokenCount: 3,
        cachedTokenCount: 2,
        completionTokenCount: 2,
        finishReason: 'stop',
        durationMs: expect.any(Number),
        firstTokenMs: expect.any(Number),
        queueMs: 0,
      }),
    ]);
    expect(lines()[0]).not.toHaveProperty('code');
  });

  test('has the id of the key', async () => {
    const { app, lines, fileLines } = start('text');
    app.addHook('onRequest', async (request) => {
      Object.assign(request, { caller: { keyId: 'alice' } });
    });
    await postChat(app);
    expect(lines()).toMatchObject([{ keyId: 'alice' }]);
    expect(fileLines[0]).toContain(' | alice | POST /v1/chat/completions | 200');
  });

  test('names every choice that ended otherwise', async () => {
    const { app, engine, lines } = start();
    engine.script.finishReason = 'length';
    await postChat(app, { n: 2 });
    expect(lines()[0]).toMatchObject({ completionTokenCount: 4, finishReason: 'length' });
  });

  test('has a line for what is refused, with its code', async () => {
    const { app, lines } = start();
    await postChat(app, { temperature: -9 });
    await app.inject('/nowhere?key=value');
    await app.inject({ method: 'DELETE', url: '/v1/models' });
    await app.inject('/%ff');
    expect(lines()).toMatchObject([
      { status: 400, code: 'invalid_value', path: '/v1/chat/completions' },
      { status: 404, code: 'not_found', path: '/nowhere' },
      { status: 405, code: 'method_not_allowed', path: '/v1/models' },
      { status: 400, code: 'bad_request', path: '/%ff' },
    ]);
  });

  test('says what was wrong with a key, at level info', async () => {
    const authentication = await withKeys(`old:${secrets.bob}::2020-01-01`);
    const { app, lines } = start('json', { authentication });
    const ask = (headers: Record<string, string>) => app.inject({ url: '/v1/models', headers });
    await ask({});
    await ask(bearer(secrets.alice));
    await ask(bearer(secrets.bob));
    expect(lines()).toMatchObject(
      ['missing', 'unknown', 'expired'].map((reason) => ({
        level: 30,
        code: 'invalid_api_key',
        reason,
        client: '127.0.0.1',
      })),
    );
  });

  test('reports a stream that failed after it had begun', async () => {
    const { app, engine, lines } = start();
    engine.script.failure = { at: 1, error: new GatewayError('sequence_failed') };
    await postChat(app, { stream: true });
    expect(lines()).toMatchObject([{ status: 200, code: 'sequence_failed', promptTokenCount: 3 }]);
  });

  test('has the code that the client saw, and which of its causes it was', async () => {
    const { app, engine, lines, logLines } = start('json', { generationTimeoutMs: 20 });
    engine.script.beforeEvent = () => new Promise(() => {});
    const reply = await postChat(app);
    expect(reply.statusCode).toBe(504);
    const { code } = reply.json().error;
    expect(code).toBe('request_timeout');
    expect(lines()).toMatchObject([{ status: 504, code, reason: 'completion_timeout' }]);
    expect(logLines.filter(({ msg }) => msg === 'request refused')).toMatchObject([
      { code, reason: 'completion_timeout' },
    ]);
  });

  test('has no longer wait of a cancelled request than the request itself', async () => {
    const { app, engine, lines } = start();
    engine.script.timings = { queueMs: 60_000, prefillMs: 1, decodeMs: 1 };
    engine.script.beforeEvent = (index) => (index === 1 ? new Promise(() => {}) : undefined);
    const { baseUrl } = await listen(app);
    const controller = new AbortController();
    const reply = await fetch(`${baseUrl}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(chatBody({ stream: true })),
      signal: controller.signal,
    });
    await reply.body?.getReader().read();
    controller.abort();
    await engine.until(({ endings }) => endings.length === 1);
    await expect.poll(() => lines().length).toBe(1);
    const { queueMs, durationMs, finishReason } = lines()[0] as Record<string, number>;
    expect(finishReason).toBe('cancelled');
    expect(queueMs).toBeLessThanOrEqual(durationMs as number);
  });

  test('leaves out the probes of monitoring, except at level debug', async () => {
    const { app, lines, fileLines } = start();
    for (const url of ['/ping', '/health', '/v1/health', '/ready', '/metrics'])
      await app.inject(url);
    expect(lines().map(({ level }) => level)).toEqual([20, 20, 20, 20, 20]);
    expect(fileLines).toEqual([]);
  });

  test('never has content, headers or queries', async () => {
    const { app, logLines, fileLines } = start();
    await app.inject({
      method: 'POST',
      url: `/v1/chat/completions?api_key=${secret}`,
      headers: { authorization: `Bearer ${secret}` },
      payload: { messages: [{ role: 'user', content: 'a private matter' }] },
    });
    await app.inject(`/${'x'.repeat(5000)}`);
    const all = JSON.stringify([logLines, fileLines]);
    for (const text of [secret, 'private', 'Hello', ' world', 'x'.repeat(300)]) {
      expect(all).not.toContain(text);
    }
    expect(fileLines).toHaveLength(2);
  });
});

describe('api_access.log', () => {
  test('has the text form of old, whatever a path contains', async () => {
    const { app, fileLines } = start('text');
    await postChat(app);
    await app.inject('/a|b');
    expect(fileLines).toEqual([
      expect.stringMatching(/^\d{4}-\S+Z \| \S+ \| POST \/v1\/chat\/completions \| 200\n$/),
      expect.stringMatching(/^\d{4}-\S+Z \| \S+ \| GET \/a(_|%7C)b \| 404\n$/),
    ]);
  });

  test('has requests refused by keys and limits, and bodies that were too large', async () => {
    const fileLines: string[] = [];
    const { app } = startGateway({
      accessLog: { format: 'text', file: { write: (line) => fileLines.push(line) } },
      authentication: await withKeys(`alice:${secrets.alice}:2`),
      limitStore: new MemoryStore(),
      limits: { bodyBytes: 1000 },
    });
    const send = (headers: Record<string, string>, content = 'x') =>
      app.inject({
        method: 'POST',
        url: '/v1/chat/completions',
        headers,
        payload: chatBody({ messages: [{ role: 'user', content }] }),
      });
    await send({});
    await send(bearer(secrets.alice));
    await send(bearer(secrets.alice), 'x'.repeat(1000));
    await send(bearer(secrets.alice));
    expect(fileLines.map((line) => line.split(' | ').slice(1).join(' | ').trim())).toEqual([
      '- | POST /v1/chat/completions | 401',
      'alice | POST /v1/chat/completions | 200',
      'alice | POST /v1/chat/completions | 413',
      'alice | POST /v1/chat/completions | 429',
    ]);
  });

  test('has the JSON keys of old first, then more', async () => {
    const { app, fileLines } = start('json');
    await postChat(app);
    const line = JSON.parse(fileLines[0] ?? '');
    expect(Object.keys(line).slice(0, 5)).toEqual(['ts', 'key_id', 'method', 'path', 'status']);
    expect(line).toMatchObject({ key_id: expect.any(String), completionTokenCount: 2 });
  });
});
