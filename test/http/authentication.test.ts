import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, expect, test } from 'vitest';
import { hashOf } from '../../src/access/keys/secret.ts';
import { card, chatBody, listen, startGateway } from '../support/start-gateway.ts';
import { bearer, secrets, withKeys } from '../support/test-keys.ts';

const chatPath = '/v1/chat/completions';

function basic(text: string): string {
  return `Basic ${Buffer.from(text).toString('base64')}`;
}

function chat(headers: Record<string, string>) {
  return { method: 'POST', url: chatPath, headers, payload: chatBody() } as const;
}

describe('a request with a key', () => {
  test.each([
    ['as bearer', bearer(secrets.alice)],
    ['as bearer in another case', { authorization: `bEARER   ${secrets.alice} ` }],
    ['by itself', { authorization: secrets.alice }],
    ['as X-Api-Key', { 'x-api-key': secrets.alice }],
    ['as X-Api-Key beside an empty header', { authorization: '', 'x-api-key': secrets.alice }],
    [
      'as X-Api-Key beside a scheme without a key',
      { authorization: 'Bearer', 'x-api-key': secrets.alice },
    ],
    ['as bearer behind a tab', { authorization: `Bearer\t${secrets.alice}` }],
    ['as Api-Key, which Azure’s clients send', { 'api-key': secrets.alice }],
    ['beside a dummy', { ...bearer('sk-no-key-required'), 'x-api-key': secrets.alice }],
    ['beside a dummy of one word', { authorization: 'none', 'api-key': secrets.alice }],
    ['in the first header', { ...bearer(secrets.alice), 'x-api-key': 'dummy', 'api-key': '' }],
    [
      'in the last header',
      { ...bearer(secrets.carol), 'x-api-key': 'none', 'api-key': secrets.alice },
    ],
    ['in both headers', { ...bearer(secrets.alice), 'x-api-key': secrets.alice }],
    ['as a password', { authorization: basic(`anyone:${secrets.alice}`) }],
    ['as a user without a password', { authorization: basic(`${secrets.alice}:`) }],
    ['as a user alone', { authorization: basic(secrets.alice) }],
    ['behind two schemes', { authorization: `Bearer Bearer ${secrets.alice}` }],
    ['behind another scheme', { authorization: `Token ${secrets.alice}` }],
    ['behind a scheme in X-Api-Key', { 'x-api-key': `Bearer ${secrets.alice}` }],
    ['in quotes', { authorization: `Bearer "${secrets.alice}"` }],
    ['in quotes by itself', { 'x-api-key': `'${secrets.alice}'` }],
    ['that is stored as a hash', bearer(secrets.bob)],
  ])('%s is answered', async (_name, headers) => {
    const file = `alice:${secrets.alice}\nbob:${hashOf(secrets.bob)}`;
    const { app } = startGateway({ authentication: await withKeys(file) });
    const reply = await app.inject(chat(headers));
    expect(reply.statusCode).toBe(200);
    expect(reply.headers).not.toHaveProperty('www-authenticate');
  });

  test('says its key id in the log, and never the key', async () => {
    const { app, logLines } = startGateway({
      authentication: await withKeys(`alice:${secrets.alice}`),
    });
    await app.inject(chat(bearer(secrets.alice)));
    expect(logLines).toContainEqual(
      expect.objectContaining({ msg: 'sequence ended', keyId: 'alice' }),
    );
    expect(JSON.stringify(logLines)).not.toContain(secrets.alice);
  });

  test('shares prefixes with its own requests only, unless that is allowed', async () => {
    const file = `alice:${secrets.alice}\nbob:${secrets.bob}`;
    for (const sharedCache of [false, true]) {
      const authentication = await withKeys(file, { sharedCache });
      const { app, engine } = startGateway({ authentication });
      await app.inject(chat(bearer(secrets.alice)));
      await app.inject(chat(bearer(secrets.bob)));
      expect(engine.requests.map(({ cacheScope }) => cacheScope)).toEqual(
        sharedCache ? [undefined, undefined] : ['alice', 'bob'],
      );
    }
  });
});

describe('a request that is refused with 401', () => {
  const file = `alice:${secrets.alice}\nbob:${secrets.bob}::2020-01-01`;
  const causes = [
    ['without a header', {}, 'No API key was sent'],
    ['with an empty header', { authorization: 'Bearer ' }, 'is empty'],
    ['with an empty X-Api-Key', { 'x-api-key': '' }, 'is empty'],
    ['with a malformed key', bearer('short'), 'invalid format'],
    ['with another scheme', { authorization: 'Basic YTpi' }, 'invalid format'],
    ['with an unknown key', bearer(secrets.carol), 'is not known'],
    ['with an expired key', bearer(secrets.bob), 'has expired'],
    ['with a scheme alone', { authorization: 'Bearer' }, 'is empty'],
    ['with an empty password', { authorization: basic(':') }, 'is empty'],
    ['with a wrong password', { authorization: basic(`a:${secrets.carol}`) }, 'is not known'],
    [
      'with an expired key beside a dummy',
      { ...bearer('sk-no-key-required'), 'x-api-key': secrets.bob },
      'has expired',
    ],
    ['with two dummies', { ...bearer('none'), 'x-api-key': secrets.carol }, 'is not known'],
  ] as const;

  test.each(causes)('%s says so', async (_name, headers, message) => {
    const { app, engine, logLines } = startGateway({ authentication: await withKeys(file) });
    const reply = await app.inject(chat({ ...headers }));
    expect(reply.statusCode).toBe(401);
    expect(reply.headers['www-authenticate']).toBe('Bearer');
    expect(reply.headers['x-request-id']).toBeDefined();
    expect(reply.json()).toEqual({
      error: {
        message: expect.stringContaining(message),
        type: 'invalid_request_error',
        param: 'authorization',
        code: 'invalid_api_key',
      },
    });
    expect(engine.preparedChats).toEqual([]);
    expect(logLines).toEqual([
      expect.objectContaining({ status: 401, address: '127.0.0.1', reason: expect.any(String) }),
    ]);
    expect(JSON.stringify([logLines, reply.json()])).not.toContain(secrets.bob);
  });

  test('has a message of its own for every cause, and one for a server without keys', async () => {
    const authentication = await withKeys(file);
    const { app } = startGateway({ authentication });
    const messages = await Promise.all(
      causes.map(async ([, headers]) => (await app.inject(chat({ ...headers }))).json()),
    );
    const empty = startGateway({ authentication: await withKeys('# nobody') }).app;
    const reply = await empty.inject(chat(bearer(secrets.alice)));
    expect(reply.statusCode).toBe(401);
    expect(reply.json().error.message).toContain('misconfigured');
    expect(new Set([...messages, reply.json()].map(({ error }) => error.message)).size).toBe(6);
  });

  test('may have its key in no URL, which proxies log', async () => {
    const { app } = startGateway({ authentication: await withKeys(file) });
    for (const name of ['api-key', 'api_key', 'key']) {
      const reply = await app.inject(`/v1/models?${name}=${secrets.alice}`);
      expect(reply.statusCode).toBe(401);
    }
  });

  test('is refused before its body is read', async () => {
    const { app } = startGateway({ authentication: await withKeys(file) });
    const { port } = await listen(app);
    const socket = connect(port, '127.0.0.1');
    socket.write(`POST ${chatPath} HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n{`);
    const [head] = await once(socket, 'data');
    socket.destroy();
    expect(String(head)).toMatch(/^HTTP\/1.1 401 /);
  });

  test('is refused before it learns what exists', async () => {
    const { app } = startGateway({ authentication: await withKeys(file) });
    for (const url of ['/nowhere', '/v1/models', '/props', '/slots', '/reload']) {
      expect((await app.inject(url)).statusCode, url).toBe(401);
    }
    const known = await app.inject({ url: '/nowhere', headers: bearer(secrets.alice) });
    expect(known.statusCode).toBe(404);
  });
});

describe('without a key', () => {
  test.each(['/ping', '/health', '/health?x=1', '/ping/'])('%s is open', async (url) => {
    const { app } = startGateway({ authentication: await withKeys(`a:${secrets.alice}`) });
    expect((await app.inject(url)).statusCode).toBe(200);
  });

  test('/health reports that authentication is on', async () => {
    const { app } = startGateway({ authentication: await withKeys(`a:${secrets.alice}`) });
    expect((await app.inject('/health')).json().authentication).toEqual({ enabled: true });
    expect(JSON.stringify((await app.inject('/health')).json())).not.toContain('"a"');
  });

  test.each([
    [false, 200],
    [true, 401],
  ])('/metrics is open unless it is protected: %s', async (protectedMetrics, status) => {
    const authentication = await withKeys(`a:${secrets.alice} scopes=admin`, { protectedMetrics });
    const { app } = startGateway({ authentication });
    expect((await app.inject('/metrics')).statusCode).toBe(status);
    const reply = await app.inject({ url: '/metrics', headers: bearer(secrets.alice) });
    expect(reply.statusCode).toBe(200);
  });

  test.each([chatPath, '/nowhere', '/v1/models'])('OPTIONS %s is an empty 204', async (url) => {
    for (const authentication of [await withKeys(`a:${secrets.alice}`), undefined]) {
      const { app } = startGateway({ authentication });
      const reply = await app.inject({ method: 'OPTIONS', url });
      expect(reply.statusCode).toBe(204);
      expect(reply.headers['content-length']).toBe('0');
      expect(reply.body).toBe('');
    }
  });

  test('everything is open where authentication is off', async () => {
    const { app, engine, logLines } = startGateway();
    expect((await app.inject(chat({}))).statusCode).toBe(200);
    expect(engine.requests[0]?.cacheScope).toBeUndefined();
    expect(logLines).toContainEqual(expect.objectContaining({ keyId: 'auth-disabled' }));
  });
});

describe('a key that may not do everything', () => {
  test('is refused with 403 what its scopes do not say', async () => {
    const file = `alice:${secrets.alice} scopes=admin`;
    const { app } = startGateway({ authentication: await withKeys(file) });
    const reply = await app.inject(chat(bearer(secrets.alice)));
    expect(reply.statusCode).toBe(403);
    expect(reply.json()).toEqual({
      error: {
        message: expect.stringContaining('`inference`'),
        type: 'permission_error',
        param: null,
        code: 'insufficient_scope',
      },
    });
  });

  test('is refused with 403 a model it does not name, and does not see it', async () => {
    const file = `alice:${secrets.alice} models=other\nbob:${secrets.bob} models=other,tiny/story%20model`;
    const { app } = startGateway({ authentication: await withKeys(file) });
    const reply = await app.inject(chat(bearer(secrets.alice)));
    expect(reply.statusCode).toBe(403);
    expect(reply.json().error).toMatchObject({ param: 'model', code: 'model_not_allowed' });

    const list = async (secret: string) =>
      (await app.inject({ url: '/v1/models', headers: bearer(secret) })).json().data;
    expect(await list(secrets.alice)).toEqual([]);
    expect(await list(secrets.bob)).toMatchObject([{ id: card.id }]);
    const url = `/v1/models/${encodeURIComponent(card.id)}`;
    const hidden = await app.inject({ url: `${url}x`, headers: bearer(secrets.alice) });
    expect(hidden.statusCode).toBe(404);
    expect(hidden.body).not.toContain(card.id);
    expect((await app.inject({ url, headers: bearer(secrets.alice) })).statusCode).toBe(404);
    expect((await app.inject({ url, headers: bearer(secrets.bob) })).statusCode).toBe(200);
    expect((await app.inject(chat(bearer(secrets.bob)))).statusCode).toBe(200);
  });
});

describe('an address that fails too often', () => {
  const file = `alice:${secrets.alice}\nbob:${secrets.bob}::2020-01-01`;

  test('has to wait, with any key; other addresses do not', async () => {
    const { app } = startGateway({
      authentication: await withKeys(file, { failuresPerMinute: 3 }),
      trustedProxies: ['127.0.0.1'],
    });
    const from = async (address: string, secret: string) => {
      const headers = { ...bearer(secret), 'x-forwarded-for': `1.2.3.4, ${address}` };
      return app.inject({ url: '/v1/models', headers });
    };
    const statuses: number[] = [];
    for (let attempt = 0; attempt < 4; attempt++) {
      statuses.push((await from('192.0.2.7', secrets.carol)).statusCode);
    }
    expect(statuses).toEqual([401, 401, 401, 429]);
    const waiting = await from('192.0.2.7', secrets.alice);
    expect(waiting.statusCode).toBe(429);
    expect(Number(waiting.headers['retry-after'])).toBeGreaterThan(0);
    expect(Number(waiting.headers['retry-after'])).toBeLessThanOrEqual(60);
    const seconds = waiting.headers['retry-after'];
    expect(waiting.headers['retry-after-ms']).toBe(`${seconds}000`);
    expect(waiting.json().error.message).toContain(`try again in ${seconds}s`);
    expect(waiting.json().error).toMatchObject({
      type: 'rate_limit_error',
      code: 'rate_limit_exceeded',
    });
    expect((await from('192.0.2.8', secrets.alice)).statusCode).toBe(200);
  });

  test('is not believed about its address unless it is a trusted proxy', async () => {
    const authentication = await withKeys(file, { failuresPerMinute: 1 });
    const { app } = startGateway({ authentication });
    const statuses: number[] = [];
    for (const address of ['192.0.2.1', '192.0.2.2']) {
      const headers = { ...bearer(secrets.carol), 'x-forwarded-for': address };
      statuses.push((await app.inject({ url: '/v1/models', headers })).statusCode);
    }
    expect(statuses).toEqual([401, 429]);
  });

  test('spends an attempt for each key that it tries, and none for a dummy beside a valid key', async () => {
    const authentication = await withKeys(file, { failuresPerMinute: 3 });
    const { app } = startGateway({ authentication });
    const ask = async (headers: Record<string, string>) =>
      (await app.inject({ url: '/v1/models', headers })).statusCode;
    for (let attempt = 0; attempt < 5; attempt++) {
      expect(await ask({ ...bearer('dummy'), 'x-api-key': secrets.alice })).toBe(200);
    }
    expect(await ask({ ...bearer(secrets.carol), 'x-api-key': secrets.carol })).toBe(401);
    expect(await ask({ ...bearer(secrets.carol), 'api-key': 'another' })).toBe(401);
    expect(await ask(bearer(secrets.alice))).toBe(429);
  });

  test('may forget its key or let it expire as often as it likes', async () => {
    const authentication = await withKeys(file, { failuresPerMinute: 1 });
    const { app } = startGateway({ authentication });
    for (const headers of [{}, { authorization: '' }, bearer(secrets.bob), {}]) {
      expect((await app.inject({ url: '/v1/models', headers })).statusCode).toBe(401);
    }
    const good = await app.inject({ url: '/v1/models', headers: bearer(secrets.alice) });
    expect(good.statusCode).toBe(200);
  });
});
