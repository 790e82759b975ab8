import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { BenchClient } from '../../../src/bench/client.ts';
import {
  type ChatScript,
  chatOf,
  doneFrame,
  openStream,
  replyError,
  type ScriptedServerOptions,
  sse,
  startScriptedServer,
  textFrame,
  usageFrame,
} from '../../support/scripted-server.ts';

const body = { messages: [{ role: 'user', content: 'Hello' }], max_tokens: 8 };

function clientOf(url: URL, options: { apiKey?: string; timeoutMs?: number } = {}) {
  const { apiKey, timeoutMs = 10_000 } = options;
  const client = new BenchClient({ url, apiKey, timeoutMs });
  onTestFinished(() => client.close());
  return client;
}

async function chatWith(chat: ChatScript, options: { apiKey?: string; timeoutMs?: number } = {}) {
  const { url } = await startScriptedServer({ chat });
  return await clientOf(url, options).chat(body, {});
}

async function failureOf(chat: ChatScript, options?: { apiKey?: string; timeoutMs?: number }) {
  const outcome = await chatWith(chat, options);
  if (outcome === undefined || outcome.ok) throw new Error('it did not fail');
  return outcome.failure;
}

describe('a streamed request', () => {
  test('is measured from bytes that come in odd pieces', async () => {
    const frames = `${textFrame('a€')}: comment\r\n\r\n${textFrame('b')}`;
    const bytes = Buffer.from(frames + usageFrame(7, 2) + doneFrame);
    const outcome = await chatWith(async (reply) => {
      openStream(reply);
      for (let at = 0; at < bytes.length; at += 11) {
        reply.write(bytes.subarray(at, at + 11));
        await sleep(1);
      }
      reply.end();
    });
    expect(outcome).toMatchObject({
      ok: true,
      completion: { text: 'a€b', tokens: { prompt: 7, completion: 2, deltas: 2 } },
    });
  });

  test('has its first token when the first text came, not when the headers did', async () => {
    const outcome = await chatWith(async (reply) => {
      openStream(reply).flushHeaders();
      await sleep(60);
      reply.write(textFrame('a'));
      await sleep(40);
      reply.end(textFrame('b') + usageFrame(1, 2) + doneFrame);
    });
    if (outcome?.ok !== true) throw new Error('it failed');
    const { ttftMs = 0, interTokenMs, totalMs } = outcome.completion;
    expect(ttftMs).toBeGreaterThan(55);
    expect(interTokenMs).toHaveLength(1);
    expect(interTokenMs[0]).toBeGreaterThan(35);
    expect(totalMs).toBeGreaterThan(95);
  });

  test('counts from the moment it was meant to start when there is one', async () => {
    const { url } = await startScriptedServer();
    const intendedAtMs = performance.now() - 500;
    const outcome = await clientOf(url).chat(body, { intendedAtMs });
    expect(outcome).toMatchObject({ ok: true, startedAtMs: intendedAtMs });
    expect(outcome?.ok === true && outcome.completion.ttftMs).toBeGreaterThan(500);
  });

  test('uses a connection again, and opens more only for requests at once', async () => {
    const { url, connectionCount } = await startScriptedServer();
    const client = clientOf(url);
    for (let i = 0; i < 3; i++) await client.chat(body, {});
    expect(connectionCount()).toBe(1);
    await Promise.all([client.chat(body, {}), client.chat(body, {}), client.chat(body, {})]);
    expect(connectionCount()).toBe(3);
  });

  test('is sent again when an idle connection was closed under it', async () => {
    const { url, calls } = await startScriptedServer({
      // The client believes that its connection is still there.
      chat: async (reply, call) => {
        if (call.index === 1) reply.socket?.destroy();
        else await chatOf(2)(reply, call);
      },
    });
    const client = clientOf(url);
    expect(await client.chat(body, {})).toMatchObject({ ok: true });
    expect(await client.chat(body, {})).toMatchObject({ ok: true });
    expect(calls).toHaveLength(3);
  });

  test.each(['', '/base', '/base/v1', '/base/v1/', '/'])(
    'keeps the base path of %j',
    async (path) => {
      const basePath = path.startsWith('/base') ? '/base' : '';
      const { port } = await startScriptedServer({ basePath });
      const client = clientOf(new URL(`http://127.0.0.1:${port}${path}`));
      expect(await client.chat(body, {})).toMatchObject({ ok: true });
      const { status } = await client.get('/ping', { connection: 'new' });
      expect(status).toBe(200);
    },
  );

  test('carries the key', async () => {
    const { url, calls } = await startScriptedServer();
    await clientOf(url, { apiKey: 'sk-1' }).chat(body, {});
    expect(calls[0]?.authorization).toBe('Bearer sk-1');
  });

  test('has no outcome when it was stopped', async () => {
    const stop = new AbortController();
    const { url } = await startScriptedServer({
      chat: (reply) => {
        openStream(reply).write(textFrame('a'));
        setImmediate(() => stop.abort());
      },
    });
    expect(await clientOf(url).chat(body, { signal: stop.signal })).toBeUndefined();
  });
});

describe('a request fails', () => {
  test('with the status, code and message of the server', async () => {
    const failure = await failureOf((reply) =>
      replyError(reply, 429, { message: 'slow down', type: 'requests', code: 'rate_limit' }),
    );
    expect(failure).toEqual({
      kind: 'status',
      status: 429,
      code: 'rate_limit',
      message: 'slow down',
    });
  });

  test('with the text of a reply that is not JSON, on one line and not endless', async () => {
    const failure = await failureOf((reply) => {
      reply.writeHead(502).end(`<html>\n  bad gateway ${'x'.repeat(1000)}`);
    });
    expect(failure).toMatchObject({ kind: 'status', status: 502 });
    expect(failure.message).toMatch(/^<html> bad gateway x+$/);
    expect(failure.message.length).toBe(300);
  });

  test.each([
    ['', 'Bearer [api key]'],
    // The key would be cut in two.
    ['x'.repeat(285), `${'x'.repeat(285)} Bearer [api ke`],
  ])('without the key, even when the server repeats it after %j', async (before, said) => {
    const failure = await failureOf(
      (reply, { authorization }) =>
        replyError(reply, 401, { message: `${before} ${authorization}`, code: authorization }),
      { apiKey: 'sk-secret-123' },
    );
    expect(failure).toMatchObject({ code: 'Bearer [api key]', message: said });
  });

  test('at an error frame, without waiting for an end', async () => {
    const failure = await failureOf((reply) => {
      openStream(reply).write(textFrame('a') + sse({ error: { message: 'broke', code: 'x' } }));
    });
    expect(failure).toEqual({ kind: 'error-frame', code: 'x', message: 'broke' });
  });

  test('when the stream ends without [DONE]', async () => {
    const failure = await failureOf((reply) => {
      openStream(reply).end(textFrame('a') + usageFrame(1, 1));
    });
    expect(failure.kind).toBe('no-done');
  });

  test('when the connection breaks within the stream', async () => {
    const failure = await failureOf((reply) => {
      openStream(reply).write(textFrame('a'));
      setTimeout(() => reply.socket?.destroy(), 20);
    });
    expect(failure.kind).toBe('connection-lost');
  });

  test.each([
    ['before the headers', () => {}],
    ['within the stream', (reply) => void openStream(reply).write(textFrame('a'))],
  ] satisfies [string, ChatScript][])('when nothing comes %s', async (_when, chat) => {
    const failure = await failureOf(chat, { timeoutMs: 80 });
    expect(failure).toEqual({ kind: 'timeout', message: 'no data for 0.08 s' });
  });

  test('when no connection opens within ten seconds', async () => {
    const silent = createServer((socket) => {
      onTestFinished(() => void socket.destroy());
    }).listen(0, '127.0.0.1');
    onTestFinished(() => void silent.close());
    await once(silent, 'listening');
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    // It takes the connection, and says nothing to the client's first words of TLS.
    const { port } = silent.address() as AddressInfo;
    const asked = clientOf(new URL(`https://127.0.0.1:${port}`)).chat(body, {});
    await once(silent, 'connection');
    vi.advanceTimersByTime(10_000);
    const outcome = await asked;
    expect(outcome).toMatchObject({
      ok: false,
      failure: { kind: 'connect-timeout', message: 'no connection within 10 s' },
    });
  });

  test('when the reply is no stream', async () => {
    const failure = await failureOf((reply) => {
      reply.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    });
    expect(failure).toMatchObject({ kind: 'bad-stream' });
    expect(failure.message).toContain('application/json');
  });

  test('when nobody listens', async () => {
    const url = new URL(`http://127.0.0.1:${await freePort()}`);
    const outcome = await clientOf(url).chat(body, {});
    expect(outcome).toMatchObject({
      ok: false,
      failure: { kind: 'connect', code: 'ECONNREFUSED' },
    });
  });

  test('when the other side does not speak HTTP', async () => {
    const server = createServer((socket) => socket.end('SSH-2.0-OpenSSH\r\n'));
    onTestFinished(() => void server.close());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const outcome = await clientOf(new URL(`http://127.0.0.1:${port}`)).chat(body, {});
    expect(outcome).toMatchObject({ ok: false, failure: { kind: 'bad-stream' } });
  });
});

test('a GET on a new connection is measured to the last byte of its reply', async () => {
  const other: ScriptedServerOptions['other'] = (_request, reply) => {
    setTimeout(() => reply.end('late'), 50);
  };
  const { url, connectionCount } = await startScriptedServer({ other });
  const client = clientOf(url);
  const replies = [
    await client.get('/health', { connection: 'new' }),
    await client.get('/health', { connection: 'new' }),
  ];
  expect(connectionCount()).toBe(2);
  for (const { totalMs, body: text } of replies) {
    expect(text).toBe('late');
    expect(totalMs).toBeGreaterThan(45);
  }
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
