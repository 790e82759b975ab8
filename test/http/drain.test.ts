import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { describe, expect, test } from 'vitest';
import { gate } from '../support/fake-engine.ts';
import { parseSse } from '../support/read-sse.ts';
import { chatBody, listen, postChat, startGateway } from '../support/start-gateway.ts';

const forever = new Promise<void>(() => {});

const shuttingDown = {
  error: {
    message: 'The server is shutting down.',
    type: 'server_error',
    param: null,
    code: 'shutting_down',
  },
};

describe('while draining', () => {
  test('running completions come to their end', async () => {
    const { app, engine, drain } = startGateway();
    const end = gate();
    engine.script.beforeEvent = (index) => (index === 1 ? end.opened : undefined);
    const running = [postChat(app, { stream: true }), postChat(app)];
    await engine.until(({ eventCount }) => eventCount === 2);

    const drained = drain.finish(60_000);
    end.open();

    expect(await drained).toBe(0);
    const [streamed, plain] = await Promise.all(running);
    expect(parseSse(streamed?.body ?? '').at(-1)).toBe('done');
    expect(plain?.json().choices[0].message.content).toBe('Hello world');
  });

  test('new completions are refused and may be tried again elsewhere', async () => {
    const { app, engine, drain } = startGateway();
    await drain.finish(0);
    for (const stream of [false, true]) {
      const reply = await postChat(app, { stream });
      expect(reply.statusCode).toBe(503);
      expect(reply.headers['retry-after']).toBe('5');
      expect(reply.json()).toEqual(shuttingDown);
    }
    expect(engine.preparedChats).toEqual([]);
  });
});

describe('at the deadline', () => {
  test('streams end with an error frame and no [DONE], plain replies with 503', async () => {
    const { app, engine, drain } = startGateway();
    engine.script.beforeEvent = (index) => (index === 1 ? forever : undefined);
    const running = [postChat(app, { stream: true }), postChat(app)];
    await engine.until(({ eventCount }) => eventCount === 2);

    expect(await drain.finish(0)).toBe(2);

    const [streamed, plain] = await Promise.all(running);
    expect(parseSse(streamed?.body ?? '').at(-1)).toEqual({ json: shuttingDown });
    expect(streamed?.body).toContain('Hello');
    expect(plain?.statusCode).toBe(503);
    expect(plain?.json()).toEqual(shuttingDown);
    expect(engine.endings).toEqual(['cancelled', 'cancelled']);
    expect(drain.runningCount).toBe(0);
  });

  test('a completion that has no token yet is a plain 503, streamed or not', async () => {
    const { app, engine, drain } = startGateway();
    engine.script.beforeEvent = () => forever;
    const running = [postChat(app, { stream: true }), postChat(app)];
    await engine.until(() => engine.stats().runningCount === 2);

    expect(await drain.finish(0)).toBe(2);

    for (const reply of await Promise.all(running)) {
      expect(reply.statusCode).toBe(503);
      expect(reply.headers['retry-after']).toBe('5');
      expect(reply.json()).toEqual(shuttingDown);
    }
  });

  test('a prompt that is still being prepared is a plain 503', async () => {
    const { app, engine, drain } = startGateway();
    const prepared = gate();
    engine.script.prepare = () => prepared.opened;
    const running = postChat(app);
    await engine.until(({ preparedChats }) => preparedChats.length === 1);

    expect(await drain.finish(0, 0)).toBe(1);
    prepared.open();

    expect((await running).json()).toEqual(shuttingDown);
    expect(drain.runningCount).toBe(0);
    expect(engine.requests).toEqual([]);
  });

  test.each<[string, { generationTimeoutMs?: number }]>([
    ['a drain', {}],
    ['the time limit', { generationTimeoutMs: 300 }],
  ])('a client that does not read does not hold up %s', async (_name, options) => {
    const { app, engine, drain } = startGateway(options);
    engine.script.parts = Array(2000).fill('x'.repeat(10_000));
    const { port } = await listen(app);
    const client = request({
      port,
      host: '127.0.0.1',
      path: '/v1/chat/completions',
      method: 'POST',
      headers: { 'content-type': 'application/json' },
    });
    client.on('error', () => {});
    client.end(JSON.stringify(chatBody({ stream: true })));
    const [reply] = (await once(client, 'response')) as [IncomingMessage];
    reply.pause();
    await engine.until(({ eventCount }) => eventCount > 100);

    if (options.generationTimeoutMs === undefined) expect(await drain.finish(0)).toBe(1);

    await engine.until(({ endings }) => endings.length > 0);
    expect(engine.endings).toEqual(['cancelled']);
    client.destroy();
  });
});
