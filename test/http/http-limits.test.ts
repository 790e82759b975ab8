import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, expect, test } from 'vitest';
import { exchange, readAll } from '../support/raw-http.ts';
import { chatBody, listen, startGateway } from '../support/start-gateway.ts';
import { bearer, secrets, withKeys } from '../support/test-keys.ts';

const chatPath = '/v1/chat/completions';

async function start(options: Parameters<typeof startGateway>[0] = {}) {
  const gateway = startGateway(options);
  return { ...gateway, ...(await listen(gateway.app)) };
}

/** A request of `/ping` with so many headers beside `Host` and `Connection`, each of that line length. */
function ping(count: number, lineBytes: number): string {
  const lines = Array.from({ length: count }, (_, index) => {
    const name = `X-${String(index).padStart(3, '0')}: `;
    return `${name}${'x'.repeat(lineBytes - name.length - 2)}\r\n`;
  });
  return `GET /ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${lines.join('')}\r\n`;
}

function statusOf({ head }: { readonly head: string }): number {
  return Number(/^HTTP\/1\.1 (\d+)/.exec(head)?.[1]);
}

describe('the size of a request', () => {
  test.each([
    ['64 headers', 62, 20, 200],
    ['65 headers', 63, 20, 431],
    ['a header line of 8192 bytes', 1, 8192, 200],
    ['a header line of 8193 bytes', 1, 8193, 431],
    ['more headers than Node reads', 5000, 12, 431],
  ])('with %s is %s', async (_name, count, lineBytes, status) => {
    const { port } = await start();
    const reply = await exchange(port, ping(count, lineBytes));
    expect(statusOf(reply)).toBe(status);
    if (status === 200) return;
    expect(JSON.parse(reply.body).error).toMatchObject({ code: 'header_fields_too_large' });
  });

  test.each([
    [8192, 404],
    [8193, 414],
    [200_000, 414],
  ])('with a request line of %i bytes is %i', async (bytes, status) => {
    const { port } = await start();
    const path = `/${'x'.repeat(bytes - 'GET / HTTP/1.1\r\n'.length)}`;
    const reply = await exchange(
      port,
      `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
    );
    // A line that Node gives up on in the middle may be taken for a header.
    expect([status, bytes > 65_536 ? 431 : status]).toContain(statusOf(reply));
    if (status === 414 && statusOf(reply) === 414) {
      expect(JSON.parse(reply.body).error).toMatchObject({
        code: 'uri_too_long',
        message: 'The request line may have at most 8192 bytes.',
      });
    }
  });

  test('follows the settings', async () => {
    const limits = { headerCount: 3, headerLineBytes: 100, requestLineBytes: 64 };
    const { port } = await start({ limits });
    expect(statusOf(await exchange(port, ping(1, 100)))).toBe(200);
    expect(statusOf(await exchange(port, ping(2, 20)))).toBe(431);
    expect(statusOf(await exchange(port, ping(1, 101)))).toBe(431);
    const long = `GET /${'x'.repeat(60)} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`;
    expect(statusOf(await exchange(port, long))).toBe(414);
  });
});

describe('a request that can be read in two ways', () => {
  const post = `POST ${chatPath} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n`;
  test.each([
    ['a length with a sign', `${post}Content-Length: +2\r\n\r\n{}`],
    ['an empty length', `${post}Content-Length: \r\n\r\n{}`],
    ['a list of lengths', `${post}Content-Length: 2, 2\r\n\r\n{}`],
    ['a length in hexadecimal', `${post}Content-Length: 0x2\r\n\r\n{}`],
    ['two different lengths', `${post}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}`],
    ['chunks before a length', `${post}Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n{}`],
    ['a coding beside chunks', `${post}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n`],
    ['a coding that is none', `${post}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`],
    ['a blank before the colon', `${post}Content-Length : 2\r\n\r\n{}`],
    ['a folded header', `${post}X-A: b\r\n Content-Length: 2\r\n\r\n{}`],
    ['a carriage return in a header', `${post}X-A: b\rContent-Length: 2\r\n\r\n{}`],
    ['a null in a header', `${post}X-A: b\0\r\n\r\n`],
    ['a broken chunk size', `${post}Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n`],
    ['no host', `GET /ping HTTP/1.1\r\nConnection: close\r\n\r\n`],
    ['two hosts', `GET /ping HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n`],
  ])('by %s is 400, and nothing else is read from it', async (_name, request) => {
    const { port } = await start();
    const smuggled = 'GET /smuggled HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n';
    const hasBody = request.startsWith('POST');
    const reply = await exchange(port, request + (hasBody ? smuggled : ''));
    expect(statusOf(reply)).toBe(400);
    expect(JSON.parse(reply.body.slice(0, reply.body.lastIndexOf('}') + 1)).error.code).toMatch(
      /^(bad_request|invalid_value)$/,
    );
    expect(reply.head + reply.body).not.toContain('HTTP/1.1 404');
  });
});

describe('a client that is slow', () => {
  const limits = { headerTimeoutMs: 200 };

  test.each([
    ['its headers', `POST ${chatPath} HTTP/1.1\r\nHost:`],
    [
      'its body',
      `POST ${chatPath} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{`,
    ],
  ])('with %s gets 408, and its connection is closed', async (_name, beginning) => {
    const { port } = await start({ limits });
    const reply = await exchange(port, beginning);
    expect(statusOf(reply)).toBe(408);
    expect(JSON.parse(reply.body).error).toMatchObject({
      type: 'timeout_error',
      code: 'request_timeout',
    });
  });
});

test('connections beyond the cap are closed, and the log says so', async () => {
  const { app, port, logLines } = await start({ limits: { connectionCount: 1 } });
  const first = connect(port, '127.0.0.1');
  await once(app.server, 'connection');
  const second = await readAll(connect(port, '127.0.0.1'));
  expect(second).toEqual({ head: '', body: '' });
  expect(logLines).toContainEqual(
    expect.objectContaining({ level: 40, connectionCount: 1, droppedCount: 1 }),
  );
  first.destroy();
});

describe('a completion that takes too long', () => {
  const body = (fields: object) => JSON.stringify({ ...chatBody(), ...fields });

  test.each([false, true])('before its first token is one 504: stream %s', async (stream) => {
    const { app, engine } = startGateway({ generationTimeoutMs: 50 });
    engine.script.beforeEvent = () => new Promise(() => {});
    const reply = await app.inject({
      method: 'POST',
      url: chatPath,
      headers: { 'content-type': 'application/json' },
      payload: body({ stream }),
    });
    expect(reply.statusCode).toBe(504);
    expect(reply.json()).toEqual({
      error: {
        message: 'Request timed out',
        type: 'timeout_error',
        param: null,
        code: 'request_timeout',
      },
    });
    expect(engine.endings).toEqual(['cancelled']);
  });

  test('within its stream is one error frame, and its tokens are counted', async () => {
    const { baseUrl, engine, app } = await start({ generationTimeoutMs: 300 });
    engine.script.beforeEvent = (index) => (index === 1 ? new Promise(() => {}) : undefined);
    const reply = await fetch(baseUrl + chatPath, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: body({ stream: true }),
    });
    expect(reply.status).toBe(200);
    const frames = (await reply.text()).trim().split('\n\n');
    expect(frames.at(-1)).toContain('"code":"request_timeout"');
    expect(frames.filter((frame) => frame.includes('"error"'))).toHaveLength(1);
    expect(frames.join()).not.toContain('[DONE]');
    expect(frames.join()).not.toContain('HTTP/1.1');
    expect(engine.endings).toEqual(['cancelled']);
    expect((await app.inject('/ping')).statusCode).toBe(200);
  });

  test('does not when it is in time', async () => {
    const { app } = startGateway({ generationTimeoutMs: 60_000 });
    const reply = await app.inject({ method: 'POST', url: chatPath, payload: chatBody() });
    expect(reply.statusCode).toBe(200);
  });
});

test('a body is not read before its request is authorized', async () => {
  const { app } = startGateway({
    authentication: await withKeys(`alice:${secrets.alice}`),
    limits: { bodyBytes: 10 },
  });
  const send = (headers: Record<string, string>) =>
    app.inject({ method: 'POST', url: chatPath, headers, payload: chatBody() });
  expect((await send({})).statusCode).toBe(401);
  expect((await send(bearer(secrets.alice))).statusCode).toBe(413);
});
