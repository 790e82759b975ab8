import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { MemoryStore } from '../../src/access/limits/memory-store.ts';
import { GatewayError } from '../../src/core/errors.ts';
import { exchange } from '../support/raw-http.ts';
import { chatBody, listen, postChat, startGateway } from '../support/start-gateway.ts';
import { bearer, secrets, withKeys } from '../support/test-keys.ts';

const origin = 'https://app.example.com';
const corsOrigins = [origin, 'http://localhost:3000'];
const chatPath = '/v1/chat/completions';

describe('a preflight', () => {
  const ask = (allowed: readonly string[], from: string | undefined, url = chatPath) =>
    startGateway({ corsOrigins: allowed }).app.inject({
      method: 'OPTIONS',
      url,
      headers: {
        ...(from !== undefined && { origin: from }),
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization,content-type,x-stainless-lang',
      },
    });

  test('of an allowed origin gets the methods and headers that it may send', async () => {
    const reply = await ask(corsOrigins, origin);
    expect(reply.statusCode).toBe(204);
    expect(reply.body).toBe('');
    expect(reply.headers).toMatchObject({
      'content-length': '0',
      'access-control-allow-origin': origin,
      'access-control-allow-methods': 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS',
      'access-control-allow-headers': 'authorization,content-type,x-stainless-lang',
      'access-control-allow-credentials': 'true',
      'access-control-max-age': '86400',
      vary: 'Origin, Access-Control-Request-Headers',
    });
    expect(reply.headers).not.toHaveProperty('access-control-allow-private-network');
  });

  test.each([
    ['an SDK', 'dangerously-allow-browser,x-stainless-lang'],
    ['a tracer', 'traceparent,tracestate,baggage,sentry-trace'],
    ['a router’s client', 'http-referer,x-title'],
    ['Azure', 'api-key,x-ms-useragent'],
    ['a client of tomorrow', 'x-something-new'],
  ])('is granted the headers of %s', async (_name, asked) => {
    for (const allowed of [corsOrigins, ['*']]) {
      const { app } = startGateway({ corsOrigins: allowed });
      const headers = {
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': asked,
      };
      const reply = await app.inject({ method: 'OPTIONS', url: chatPath, headers });
      expect(reply.headers['access-control-allow-headers']).toBe(asked);
    }
  });

  test.each([
    [corsOrigins, origin, 'true'],
    [['*'], origin, 'true'],
    [corsOrigins, 'https://evil.example.com', undefined],
    [[], origin, undefined],
  ])('of a public page may reach a private network: %j, %s', async (allowed, from, granted) => {
    const { app } = startGateway({ corsOrigins: allowed });
    const headers = {
      origin: from,
      'access-control-request-method': 'POST',
      'access-control-request-private-network': 'true',
    };
    const reply = await app.inject({ method: 'OPTIONS', url: chatPath, headers });
    expect(reply.statusCode).toBe(204);
    expect(reply.headers['access-control-allow-private-network']).toBe(granted);
  });

  test.each([
    ['chrome-extension://abcdefgh', 'chrome-extension://abcdefgh', true],
    ['app://obsidian.md', 'app://obsidian.md', true],
    ['tauri://localhost', 'tauri://localhost', true],
    ['null', 'null', true],
    ['file://', 'file://', true],
    ['moz-extension://*', 'moz-extension://2c127fa4-62c7-7e4f-90e5-472b45eecfdc', true],
    ['moz-extension://*', 'chrome-extension://abcdefgh', false],
    ['http://localhost:*', 'http://localhost:5173', true],
    ['http://localhost:*', 'http://localhost', true],
    ['http://localhost:*', 'http://localhost.evil.com', false],
    ['http://localhost:*', 'http://localhost:1.evil.com', false],
    ['https://*.example.com', 'https://a.b.example.com', true],
    ['https://*.example.com', 'https://example.com', false],
    ['https://*.example.com', 'https://evilexample.com', false],
    ['https://*.example.com', 'https://a.example.com.evil.com', false],
    ['https://*.example.com', 'https://a.exampleXcom', false],
    ['https://*.example.com', 'http://a.example.com', false],
    ['https://*.example.com', 'https://a.example.com:8443', false],
    ['https://*.example.com:8443', 'https://a.example.com:8443', true],
    ['*://localhost', 'capacitor://localhost', true],
    ['*://localhost', 'capacitor://localhost.evil.com', false],
  ])('with %s in the list is answered to %s: %s', async (allowed, from, isAllowed) => {
    const reply = await ask([allowed], from);
    expect(reply.headers['access-control-allow-origin']).toBe(isAllowed ? from : undefined);
    const isListed = isAllowed && !allowed.includes('*');
    expect(reply.headers['access-control-allow-credentials']).toBe(isListed ? 'true' : undefined);
  });

  test.each([
    ['another', 'https://evil.example.com'],
    ['one that contains an allowed one', `${origin}.evil.com`],
    ['one in another case', origin.toUpperCase()],
    ['one with another port', `${origin}:8443`],
    ['null', 'null'],
    ['one beyond any length', `https://${'a'.repeat(2100)}.com`],
  ])('of %s is told nothing', async (_name, from) => {
    const reply = await ask([...corsOrigins, `https://${'a'.repeat(2100)}.com`], from);
    expect(reply.statusCode).toBe(204);
    expect(reply.headers['access-control-allow-origin']).toBeUndefined();
    expect(reply.headers.vary).toBe('Origin');
  });

  test('of any origin is allowed by a star, also among others', async () => {
    const reply = await ask([origin, '*'], 'https://any.example.com');
    expect(reply.headers['access-control-allow-origin']).toBe('*');
    expect(reply.headers).not.toHaveProperty('access-control-allow-credentials');
    expect(reply.headers.vary).toBe('Access-Control-Request-Headers');
  });

  test('is 204 without any of this where no origin is allowed', async () => {
    const reply = await ask([], origin);
    expect(reply.statusCode).toBe(204);
    expect(Object.keys(reply.headers).filter((name) => name.startsWith('access-'))).toEqual([]);
  });

  test('needs neither a path nor a key', async () => {
    const authentication = await withKeys(`alice:${secrets.alice}`, { protectedMetrics: true });
    const { app } = startGateway({ corsOrigins, authentication });
    for (const url of [chatPath, '/nowhere', '/ping', '/health', '/metrics']) {
      const headers = { origin, 'access-control-request-method': 'GET' };
      const reply = await app.inject({ method: 'OPTIONS', url, headers });
      expect(reply.statusCode, url).toBe(204);
      expect(reply.headers['access-control-allow-origin'], url).toBe(origin);
    }
  });

  test('is not every OPTIONS: routes of any method answer the others', async () => {
    const { app } = startGateway({ corsOrigins });
    const ping = await app.inject({ method: 'OPTIONS', url: '/ping', headers: { origin } });
    expect(ping.statusCode).toBe(200);
    expect(ping.headers['access-control-allow-origin']).toBe(origin);
  });
});

describe('a reply to a page', () => {
  test('can be read, whatever its status', async () => {
    const { app } = startGateway({
      corsOrigins,
      authentication: await withKeys(`alice:${secrets.alice}:4`),
      limitStore: new MemoryStore(),
    });
    const headers = { origin, ...bearer(secrets.alice) };
    const replies = [
      await app.inject({ method: 'POST', url: chatPath, headers, payload: chatBody() }),
      await app.inject({ method: 'POST', url: chatPath, headers: { origin }, payload: '{}' }),
      await app.inject({
        method: 'POST',
        url: chatPath,
        headers: { ...headers, 'content-type': 'image/png' },
        payload: '{}',
      }),
      await app.inject({ url: '/nowhere', headers }),
      await app.inject({ method: 'DELETE', url: '/v1/models', headers }),
      await app.inject({ url: '/v1/models', headers }),
      await app.inject({ url: '/v1/models/%E0%A4', headers }),
      await app.inject({ url: '/ping', headers }),
    ];
    expect(replies.map(({ statusCode }) => statusCode)).toEqual([
      200, 401, 415, 404, 405, 429, 400, 200,
    ]);
    for (const reply of replies) {
      expect(reply.headers['access-control-allow-origin'], String(reply.statusCode)).toBe(origin);
      expect(reply.headers.vary).toBe('Origin');
    }
    const exposed = String(replies[0]?.headers['access-control-expose-headers']).toLowerCase();
    const sent = replies.flatMap(({ headers }) => Object.keys(headers));
    const own = new Set(
      sent.filter((name) => /^(x-|retry-|openai-|allow$|www-auth|accept)/.test(name)),
    );
    expect([...own].sort()).toEqual(
      expect.arrayContaining(['allow', 'retry-after-ms', 'www-authenticate', 'x-request-id']),
    );
    expect(exposed.split(', ')).toEqual(expect.arrayContaining([...own]));
  });

  test.each([
    ['internal_error', 500],
    ['queue_full', 503],
    ['completion_timeout', 504],
  ] as const)('about a fault of the server can be read, too: %s', async (code, status) => {
    const { app, engine } = startGateway({ corsOrigins });
    engine.script.failure = { at: 0, error: new GatewayError(code) };
    for (const stream of [false, true]) {
      const payload = chatBody({ stream });
      const reply = await app.inject({
        method: 'POST',
        url: chatPath,
        headers: { origin },
        payload,
      });
      expect(reply.statusCode).toBe(status);
      expect(reply.headers['access-control-allow-origin']).toBe(origin);
    }
  });

  test('about a body that is too large can be read, too', async () => {
    const { app } = startGateway({ corsOrigins, limits: { bodyBytes: 1000 } });
    const headers = { origin, 'content-type': 'application/json' };
    for (const [payload, coding] of [
      ['x'.repeat(2000), 'identity'],
      [gzipSync('x'.repeat(2000)), 'gzip'],
    ] as const) {
      const coded = { ...headers, 'content-encoding': coding };
      const reply = await app.inject({ method: 'POST', url: chatPath, headers: coded, payload });
      expect(reply.statusCode).toBe(413);
      expect(reply.headers['access-control-allow-origin']).toBe(origin);
    }
  });

  test('have the wildcard for every origin, and without one', async () => {
    const { app } = startGateway({ corsOrigins: ['*'] });
    expect((await app.inject('/ping')).headers['access-control-allow-origin']).toBe('*');
  });

  test('in a stream can be read as well, and has one such header', async () => {
    const { app } = startGateway({ corsOrigins });
    const { baseUrl } = await listen(app);
    const reply = await fetch(baseUrl + chatPath, {
      method: 'POST',
      headers: { 'content-type': 'application/json', origin },
      body: JSON.stringify(chatBody({ stream: true })),
    });
    await reply.text();
    expect(reply.headers.get('access-control-allow-origin')).toBe(origin);
  });

  test.each([
    [corsOrigins, `access-control-allow-origin: ${origin}`],
    [['*'], 'access-control-allow-origin: *'],
  ])('to HTTP that never became a request can be read: %j', async (origins, header) => {
    const { app } = startGateway({ corsOrigins: origins });
    const { port } = await listen(app);
    const { head } = await exchange(
      port,
      `GET /ping HTTP/1.1\r\nHost: x\r\nOrigin: ${origin}\r\nContent-Length: -1\r\n\r\n`,
    );
    expect(head).toMatch(/^HTTP\/1.1 400 /);
    expect(head.toLowerCase()).toContain(header);
    expect(head).toMatch(/access-control-expose-headers: x-request-id/i);
  });

  test('from elsewhere cannot, and says that it depends', async () => {
    const { app } = startGateway({ corsOrigins });
    const reply = await postChat(app);
    expect(reply.statusCode).toBe(200);
    expect(reply.headers['access-control-allow-origin']).toBeUndefined();
    expect(reply.headers.vary).toBe('Origin');
  });
});
