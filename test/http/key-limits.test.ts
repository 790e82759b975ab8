import { connect } from 'node:net';
import { afterEach, describe, expect, onTestFinished, test } from 'vitest';
import type { LimitStore } from '../../src/access/limits/limit-store.ts';
import { MemoryStore } from '../../src/access/limits/memory-store.ts';
import { RedisStore } from '../../src/access/limits/redis-store.ts';
import { GatewayError } from '../../src/core/errors.ts';
import { gate } from '../support/fake-engine.ts';
import { chatBody, listen, startGateway, type TestGateway } from '../support/start-gateway.ts';
import { redisMissing, startRedis } from '../support/start-redis.ts';
import { bearer, secrets, withKeys } from '../support/test-keys.ts';

const chatPath = '/v1/chat/completions';

const stores: LimitStore[] = [];
afterEach(async () => {
  for (const store of stores.splice(0)) await store.close();
});

/** A gateway whose keys are limited as the lines say. */
async function start(lines: string, limitStore: LimitStore = new MemoryStore()) {
  return startGateway({ authentication: await withKeys(lines), limitStore });
}

function chat({ app }: TestGateway, secret: string, fields: Record<string, unknown> = {}) {
  const payload = chatBody(fields);
  return app.inject({ method: 'POST', url: chatPath, headers: bearer(secret), payload });
}

/** The prompt of `chatBody` has three words, the reply of the fake engine two tokens. */
const tokensOfChat = 5;

/** Both headers and the message name the same time, which is at most a minute. */
function expectOneWait(reply: Awaited<ReturnType<typeof chat>>): void {
  const waitMs = Number(reply.headers['retry-after-ms']);
  expect(waitMs).toBeGreaterThan(0);
  expect(waitMs).toBeLessThanOrEqual(60_000);
  expect(reply.headers['retry-after']).toBe(String(Math.ceil(waitMs / 1000)));
  expect(reply.json().error.message).toContain(`try again in ${waitMs / 1000}s.`);
}

describe('requests a minute', () => {
  test('are limited for each key id, and headers say what is left', async () => {
    const gateway = await start(
      `alice:${secrets.alice}:2\nalice:${secrets.bob}:2\ncarol:${secrets.carol}:1`,
    );
    const [first, second, third] = [
      await chat(gateway, secrets.alice),
      await chat(gateway, secrets.bob),
      await chat(gateway, secrets.alice),
    ];
    expect([first, second, third].map(({ statusCode }) => statusCode)).toEqual([200, 200, 429]);
    expect(first.headers).toMatchObject({
      'x-ratelimit-limit-requests': '2',
      'x-ratelimit-remaining-requests': '1',
      'x-ratelimit-reset-requests': expect.stringMatching(/^(1m0s|59\.\d+s)$/),
    });
    expect(third.headers['x-ratelimit-remaining-requests']).toBe('0');
    expectOneWait(third);
    expect(third.json()).toEqual({
      error: {
        message: expect.stringMatching(
          /^Rate limit reached on requests per min \(RPM\): Limit 2, Used 2, Requested 1\. Please try again in \d+(\.\d+)?s\.$/,
        ),
        type: 'rate_limit_error',
        param: null,
        code: 'rate_limit_exceeded',
      },
    });
    expect(third.body).not.toContain('alice');
    expect((await chat(gateway, secrets.carol)).statusCode).toBe(200);
  });

  test('count on every path that requires a key, and on no other', async () => {
    const { app } = await start(`alice:${secrets.alice}:2`);
    const headers = bearer(secrets.alice);
    expect((await app.inject({ url: '/nowhere', headers })).statusCode).toBe(404);
    for (let time = 0; time < 3; time++) {
      const ping = await app.inject({ url: '/ping', headers });
      expect(ping.headers['x-ratelimit-limit-requests']).toBeUndefined();
    }
    const models = await app.inject({ url: '/v1/models', headers });
    expect(models.statusCode).toBe(200);
    expect(models.headers['x-ratelimit-remaining-requests']).toBe('0');
    expect((await app.inject({ url: '/v1/models', headers })).statusCode).toBe(429);
  });

  test.each([
    ['GET', '/metrics'],
    ['POST', '/reload'],
  ] as const)('count %s %s, too', async (method, url) => {
    const authentication = await withKeys(`alice:${secrets.alice}:1`, { protectedMetrics: true });
    const { app } = startGateway({ authentication, limitStore: new MemoryStore() });
    const headers = bearer(secrets.alice);
    expect((await app.inject({ method, url, headers })).statusCode).toBe(200);
    expect((await app.inject({ method, url, headers })).statusCode).toBe(429);
  });

  test('are looked at before a body is read, and after the key', async () => {
    const { app } = await start(
      `alice:${secrets.alice}:1\nalice:${secrets.bob}:1:2020-01-01T00:00:00Z`,
    );
    const send = (secret: string, payload: string) =>
      app.inject({
        method: 'POST',
        url: chatPath,
        headers: { ...bearer(secret), 'content-type': 'application/json' },
        payload,
      });
    expect((await send(secrets.alice, '{')).statusCode).toBe(400);
    expect((await send(secrets.alice, '{')).statusCode).toBe(429);
    expect((await send(secrets.bob, '{')).statusCode).toBe(401);
  });

  test('are given back when the server was too busy', async () => {
    const gateway = await start(`alice:${secrets.alice}:1`);
    gateway.engine.script.failure = { at: 0, error: new GatewayError('queue_full') };
    expect((await chat(gateway, secrets.alice)).statusCode).toBe(503);
    delete (gateway.engine.script as { failure?: unknown }).failure;
    expect((await chat(gateway, secrets.alice)).statusCode).toBe(200);
    expect((await chat(gateway, secrets.alice)).statusCode).toBe(429);
  });

  test('stay counted when the keys are read again', async () => {
    const authentication = await withKeys(`alice:${secrets.alice}:1`);
    const gateway = startGateway({ authentication, limitStore: new MemoryStore() });
    await chat(gateway, secrets.alice);
    await authentication.keys.load();
    expect((await chat(gateway, secrets.alice)).statusCode).toBe(429);
  });
});

describe('requests at the same time', () => {
  test('are limited until one of them is answered', async () => {
    const gateway = await start(`alice:${secrets.alice}:2 concurrent_requests=1`);
    const end = gate();
    gateway.engine.script.beforeEvent = () => end.opened;
    const running = chat(gateway, secrets.alice);
    await gateway.engine.until(({ requests }) => requests.length === 1);
    const refused = await chat(gateway, secrets.alice);
    expect(refused.statusCode).toBe(429);
    expect(refused.headers['retry-after']).toBe('1');
    expect(refused.headers['x-ratelimit-limit-requests']).toBe('2');
    expect(refused.json().error).toMatchObject({
      type: 'requests',
      code: 'rate_limit_exceeded',
      message: expect.stringContaining('concurrent requests: Limit 1'),
    });
    end.open();
    expect((await running).statusCode).toBe(200);
    // The second of the minute: the refused one does not count.
    expect((await chat(gateway, secrets.alice)).statusCode).toBe(200);
    expect((await chat(gateway, secrets.alice)).statusCode).toBe(429);
  });

  test('end with a client that leaves', async () => {
    const gateway = await start(`alice:${secrets.alice} concurrent_requests=1`);
    gateway.engine.script.beforeEvent = () => new Promise(() => {});
    const { port } = await listen(gateway.app);
    const body = JSON.stringify(chatBody());
    const socket = connect(port, '127.0.0.1');
    socket.write(
      `POST ${chatPath} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${secrets.alice}\r\n` +
        `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    await gateway.engine.until(({ requests }) => requests.length === 1);
    socket.destroy();
    await gateway.engine.until(({ endings }) => endings.length === 1);
    delete gateway.engine.script.beforeEvent;
    expect((await chat(gateway, secrets.alice)).statusCode).toBe(200);
  });
});

describe('tokens', () => {
  const left = async (gateway: TestGateway) => {
    const reply = await gateway.app.inject({
      url: '/v1/models',
      headers: bearer(secrets.alice),
    });
    return Number(reply.headers['x-ratelimit-remaining-tokens']);
  };

  test.each([
    ['a plain reply', {}, tokensOfChat],
    ['a stream', { stream: true }, tokensOfChat],
    ['several choices, their prompt once', { n: 3 }, 3 + 3 * 2],
  ])('of %s are counted as its usage says', async (_name, fields, tokenCount) => {
    const gateway = await start(`alice:${secrets.alice} tokens_per_minute=1000`);
    const reply = await chat(gateway, secrets.alice, fields);
    expect(reply.statusCode).toBe(200);
    // Set aside for a completion that names no limit: 256 each.
    expect(Number(reply.headers['x-ratelimit-remaining-tokens'])).toBeLessThanOrEqual(741);
    expect(reply.headers['x-ratelimit-limit-tokens']).toBe('1000');
    expect(await left(gateway)).toBe(1000 - tokenCount);
  });

  test('are set aside for what the context has room for, not for a ceiling above it', async () => {
    // The context of the fake engine has 2048 tokens, and the prompt 3.
    const gateway = await start(`alice:${secrets.alice} tokens_per_minute=3000`);
    const reply = await chat(gateway, secrets.alice, { max_tokens: 32_000 });
    expect(reply.statusCode, reply.body).toBe(200);
    expect(Number(reply.headers['x-ratelimit-remaining-tokens'])).toBe(3000 - 2048);
    expect(await left(gateway)).toBe(3000 - 3 - 2);
  });

  test('of a stream whose client leaves are counted, too', async () => {
    const gateway = await start(`alice:${secrets.alice} tokens_per_minute=1000`);
    gateway.engine.script.beforeEvent = (index) =>
      index === 1 ? new Promise(() => {}) : undefined;
    const { baseUrl } = await listen(gateway.app);
    const controller = new AbortController();
    const reply = await fetch(baseUrl + chatPath, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...bearer(secrets.alice) },
      body: JSON.stringify(chatBody({ stream: true })),
      signal: controller.signal,
    });
    await reply.body?.getReader().read();
    controller.abort();
    await gateway.engine.until(({ endings }) => endings.length === 1);
    await expect.poll(() => left(gateway)).toBe(1000 - 3 - 1);
  });

  test('are not counted for what was refused', async () => {
    const gateway = await start(`alice:${secrets.alice} tokens_per_minute=1000`);
    gateway.engine.script.failure = { at: 0, error: new GatewayError('context_length_exceeded') };
    expect((await chat(gateway, secrets.alice)).statusCode).toBe(400);
    expect(await left(gateway)).toBe(1000);
  });

  test('of a minute that are used up are 429, before the engine is asked', async () => {
    const gateway = await start(`alice:${secrets.alice} tokens_per_minute=6`);
    expect((await chat(gateway, secrets.alice)).statusCode).toBe(200);
    const reply = await chat(gateway, secrets.alice, { stream: true });
    expect(reply.statusCode).toBe(429);
    expectOneWait(reply);
    expect(reply.json().error).toMatchObject({
      type: 'tokens',
      code: 'rate_limit_exceeded',
      message: expect.stringContaining('tokens per min (TPM): Limit 6, Used 5, Requested 6.'),
    });
    expect(gateway.engine.requests).toHaveLength(1);
  });

  test('of a day that are used up are 429 without use in trying again', async () => {
    const gateway = await start(`alice:${secrets.alice} tokens_per_day=7`);
    expect((await chat(gateway, secrets.alice)).statusCode).toBe(200);
    const reply = await chat(gateway, secrets.alice);
    expect(reply.statusCode).toBe(429);
    expect(reply.headers['x-should-retry']).toBe('false');
    expect(reply.headers).toMatchObject({ 'retry-after': '60', 'retry-after-ms': '60000' });
    expect(reply.json().error).toMatchObject({
      type: 'insufficient_quota',
      code: 'insufficient_quota',
    });
  });
});

describe('without authentication', () => {
  test('nothing is limited, and no header says so', async () => {
    const gateway = startGateway({ limitStore: new MemoryStore() });
    const reply = await chat(gateway, secrets.alice);
    expect(Object.keys(reply.headers).filter((name) => name.startsWith('x-ratelimit'))).toEqual([]);
  });
});

describe.skipIf(redisMissing !== undefined)(
  `with a Redis (${redisMissing ?? 'real'})`,
  {
    timeout: 30_000,
  },
  () => {
    async function open(url: string): Promise<LimitStore> {
      const store = await RedisStore.open(url, () => {});
      stores.push(store);
      return store;
    }

    test('servers share what a key may use', async () => {
      const redis = await startRedis();
      onTestFinished(() => redis.stop());
      const lines = `alice:${secrets.alice}:3 tokens_per_minute=100 tokens_per_day=1000 concurrent_requests=2`;
      const [one, other] = [
        await start(lines, await open(redis.url)),
        await start(lines, await open(redis.url)),
      ];
      const replies = [
        await chat(one, secrets.alice, { max_tokens: 10 }),
        await chat(other, secrets.alice, { max_tokens: 10 }),
        await chat(one, secrets.alice, { max_tokens: 10 }),
        await chat(other, secrets.alice, { max_tokens: 10 }),
      ];
      expect(replies.map(({ statusCode }) => statusCode)).toEqual([200, 200, 200, 429]);
      expect(replies.map(({ headers }) => headers['x-ratelimit-remaining-requests'])).toEqual([
        '2',
        '1',
        '0',
        '0',
      ]);
      // 13 set aside on top of what the others came to.
      expect(replies.map(({ headers }) => headers['x-ratelimit-remaining-tokens'])).toEqual([
        '87',
        '82',
        '77',
        '85',
      ]);
    });

    test('the arithmetic is that of the store in memory', async () => {
      const redis = await startRedis();
      onTestFinished(() => redis.stop());
      const store = await open(redis.url);
      const bounds = { limit: 5, windowMs: 60_000 };
      const take = (id: string, amount: number) => store.take('w', { id, amount }, bounds);
      expect(await take('a', 3)).toMatchObject({ granted: true, used: 3, retryMs: 0 });
      const refused = await take('b', 3);
      expect(refused).toMatchObject({ granted: false, used: 3 });
      expect(refused.retryMs).toBeGreaterThan(0);
      expect(refused.retryMs).toBeLessThanOrEqual(60_000);
      expect(refused.resetMs).toBe(refused.retryMs);
      await store.settle('w', { id: 'a', amount: 1 }, 60_000);
      expect(await take('b', 3)).toMatchObject({ granted: true, used: 4 });
      await store.settle('w', { id: 'b', amount: 0 }, 60_000);
      await store.settle('w', { id: 'c', amount: 9 }, 60_000);
      expect(await take('', 0)).toMatchObject({ granted: false, used: 10 });

      const short = { limit: 1, windowMs: 50 };
      await store.take('s', { id: 'a', amount: 1 }, short);
      await expect
        .poll(async () => (await store.take('s', { id: 'b', amount: 1 }, short)).granted)
        .toBe(true);

      const add = (amount: number, limit: number) =>
        store.addToTotal('t', amount, { limit, lifetimeMs: 60_000 });
      expect(await add(6, 10)).toEqual({ granted: true, total: 6 });
      expect(await add(5, 10)).toEqual({ granted: false, total: 6 });
      expect(await add(9, Number.POSITIVE_INFINITY)).toEqual({ granted: true, total: 15 });
      expect(await add(-50, 10)).toEqual({ granted: true, total: 0 });
    });
  },
);
