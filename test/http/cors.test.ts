import { describe, expect, test } from 'vitest';
import { MemoryStore } from '../../src/access/limits/memory-store.ts';
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
      'access-control-allow-methods': 'GET, POST, OPTIONS',
      'access-control-max-age': '86400',
      vary: 'Origin',
    });
    const headers = String(reply.headers['access-control-allow-headers']).toLowerCase().split(', ');
    expect(headers).toEqual(
      expect.arrayContaining([
        ...['authorization', 'content-type', 'x-api-key', 'x-request-id'],
        ...['x-stainless-lang', 'x-stainless-retry-count', 'x-stainless-timeout'],
      ]),
    );
    expect(reply.headers['access-control-allow-credentials']).toBeUndefined();
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
    expect(reply.headers.vary).toBeUndefined();
  });

  test('is 204 without any of this where no origin is allowed', async () => {
    const reply = await ask([], origin);
    expect(reply.statusCode).toBe(204);
    expect(Object.keys(reply.headers).filter((name) => name.startsWith('access-'))).toEqual([]);
  });

  test('needs no path, and changes nothing for the open ones', async () => {
    expect((await ask(corsOrigins, origin, '/nowhere')).statusCode).toBe(204);
    const ping = await ask(corsOrigins, origin, '/ping');
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
      await app.inject({ method: 'POST', url: chatPath, headers, payload: '{}' }),
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
    expect(replies[0]?.headers['access-control-expose-headers']).toMatch(
      /Retry-After, X-Request-Id.*X-RateLimit-remaining-tokens/,
    );
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
  });

  test('from elsewhere cannot, and says that it depends', async () => {
    const { app } = startGateway({ corsOrigins });
    const reply = await postChat(app);
    expect(reply.statusCode).toBe(200);
    expect(reply.headers['access-control-allow-origin']).toBeUndefined();
    expect(reply.headers.vary).toBe('Origin');
  });
});
