import { describe, expect, test } from 'vitest';
import { readSeries } from '../support/read-metrics.ts';
import { card, chatBody, startGateway } from '../support/start-gateway.ts';
import { bearer, secrets, withKeys } from '../support/test-keys.ts';

describe('a path that means a route', () => {
  const textBody = { prompt: 'Once' };
  test.each<[method: 'GET' | 'POST', url: string, body?: object]>([
    ['POST', '/chat/completions', chatBody()],
    ['POST', '/v1/v1/chat/completions', chatBody()],
    ['POST', '/v1//chat/completions/', chatBody()],
    ['POST', '/api/v1/chat/completions', chatBody()],
    ['POST', '/openai/v1/chat/completions', chatBody()],
    ['POST', '/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21', chatBody()],
    ['POST', '/openai/deployments/gpt-4o/completions?api-version=2024-10-21', textBody],
    ['POST', '/openai/deployments/gpt-4o/embeddings?api-version=2024-10-21', { input: 'x' }],
    ['POST', '/completions', textBody],
    ['POST', '/embeddings', { input: 'x' }],
    ['POST', '/chat/completions/input_tokens', chatBody()],
    ['POST', '/v1/tokenize', { content: 'x' }],
    ['POST', '/v1/apply-template', chatBody()],
    ['GET', '/models'],
    ['GET', `/models/${encodeURIComponent(card.id)}`],
    ['GET', '/v1/v1/models'],
    ['GET', '/openai/models?api-version=2024-10-21'],
    ['GET', '/v1/health'],
    ['GET', '/v1/props'],
  ])('%s %s is answered', async (method, url, payload) => {
    const { app } = startGateway();
    const reply = await app.inject({ method, url, ...(payload && { payload }) });
    expect(reply.statusCode, reply.body).toBe(200);
  });

  test('is counted and logged as its route', async () => {
    const { app, logLines } = startGateway({ accessLog: { format: 'json' } });
    await app.inject({ method: 'POST', url: '/chat/completions?x=1', payload: chatBody() });
    const series = readSeries((await app.inject('/metrics')).body);
    const labels = { route: '/v1/chat/completions', method: 'POST', status: '200' };
    expect(series.value('gateway_http_requests_total', labels)).toBe(1);
    const line = logLines.find(({ msg }) => msg === 'request completed');
    expect(line).toMatchObject({ path: '/v1/chat/completions', status: 200 });
  });

  test('requires the key and the scope of its route, and has its headers', async () => {
    const authentication = await withKeys(
      `alice:${secrets.alice}\nbob:${secrets.bob} scopes=admin`,
    );
    const { app } = startGateway({ authentication, corsOrigins: ['https://app.example'] });
    const request = { method: 'POST', url: '/chat/completions', payload: chatBody() } as const;
    const statusOf = async (headers: Record<string, string>) =>
      (await app.inject({ ...request, headers })).statusCode;
    expect(await statusOf({})).toBe(401);
    expect(await statusOf(bearer(secrets.bob))).toBe(403);
    const reply = await app.inject({
      ...request,
      headers: { ...bearer(secrets.alice), origin: 'https://app.example' },
    });
    expect(reply.statusCode).toBe(200);
    expect(reply.headers).toMatchObject({
      'openai-version': '2020-10-01',
      'access-control-allow-origin': 'https://app.example',
    });
    expect((await app.inject('/v1/health')).statusCode).toBe(200);
  });

  test('with another method is 405, and names the methods of its route', async () => {
    const { app } = startGateway();
    for (const [method, url, allow] of [
      ['GET', '/chat/completions', 'POST'],
      ['POST', '/models', 'GET, HEAD'],
      ['DELETE', '/openai/deployments/x/embeddings', 'POST'],
      ['PUT', '/docs', 'GET, HEAD'],
      ['PUT', '/openapi.json', 'GET, HEAD'],
      ['POST', '/ready', 'GET, HEAD'],
      ['POST', '/', 'GET, HEAD'],
    ] as const) {
      const reply = await app.inject({ method, url });
      expect([reply.statusCode, reply.headers.allow], url).toEqual([405, allow]);
      expect(reply.json().error.code).toBe('method_not_allowed');
    }
  });

  test('may name the model, where the body does not', async () => {
    const { app } = startGateway({ strictModel: true });
    const post = async (deployment: string, fields: object) => {
      const reply = await app.inject({
        method: 'POST',
        url: `/openai/deployments/${encodeURIComponent(deployment)}/chat/completions?api-version=1`,
        payload: { messages: chatBody().messages, ...fields },
      });
      return reply.statusCode === 200 ? 200 : reply.json().error.code;
    };
    expect(await post(card.id, {})).toBe(200);
    expect(await post(card.id, { model: null })).toBe(200);
    expect(await post('other', {})).toBe('model_not_found');
    expect(await post('other', { model: card.id })).toBe(200);
    expect(await post(card.id, { model: 'other' })).toBe('model_not_found');
  });
});

describe('a path without a route', () => {
  test.each([
    ['POST', '/v1/chat/completion', 'POST /v1/chat/completions'],
    ['POST', '/api/chat', 'POST /v1/chat/completions'],
    ['GET', '/api/tags', 'GET /v1/models'],
    ['GET', '/healthz', 'GET /health'],
    ['POST', '/v1/response', 'POST /v1/responses'],
  ] as const)('%s %s is 404 and names %s', async (method, url, nearest) => {
    const { app } = startGateway();
    const reply = await app.inject({ method, url, payload: '{', headers: { 'content-type': 'a' } });
    expect(reply.statusCode).toBe(404);
    expect(reply.json().error).toEqual({
      message: `There is no such endpoint; the nearest one is \`${nearest}\`.`,
      type: 'invalid_request_error',
      param: null,
      code: 'not_found',
    });
  });

  test('is 404 with the list of all endpoints where none is near, and 401 without a key', async () => {
    const { app } = startGateway();
    expect((await app.inject('/nonsense')).json().error.message).toContain('GET /docs');
    const authentication = await withKeys(`alice:${secrets.alice}`);
    const { app: guarded } = startGateway({ authentication });
    const reply = await guarded.inject('/v1/chat/completion');
    expect(reply.statusCode).toBe(401);
    expect(reply.body).not.toContain('nearest');
  });
});

test('every nearest route to an endpoint of another server exists', async () => {
  const { app } = startGateway();
  const foreign = ['/v1'];
  foreign.push('/api/chat', '/api/generate', '/api/embed', '/api/embeddings', '/api/tags');
  foreign.push('/api/ps', '/api/show', '/api/version', '/generate', '/generate_stream');
  foreign.push('/embedding', '/pooling', '/info');
  for (const url of foreign) {
    const reply = await app.inject({ method: 'POST', url });
    const { message } = reply.json().error;
    const [, method = '', path = ''] = /`(\w+) (\S+)`/.exec(message) ?? [];
    const found = await app.inject({ method: method as 'GET', url: path });
    expect(found.body, `${url}: ${message}`).not.toMatch(/not_found|method_not_allowed/);
  }
});

describe('/', () => {
  test('says in text what this is', async () => {
    const { app } = startGateway();
    const reply = await app.inject('/');
    expect(reply.statusCode).toBe(200);
    expect(reply.headers['content-type']).toBe('text/plain; charset=utf-8');
    expect(reply.body).toBe(
      `llama-gguf-inference\n\nversion: 0.0.0\nmodel: ${card.id}\nstate: ready\nAPI: /v1\ndocumentation: /docs\n`,
    );
    const head = await app.inject({ method: 'HEAD', url: '/' });
    expect([head.statusCode, head.body]).toEqual([200, '']);
  });

  test('is a page for browsers, which loads nothing', async () => {
    const { app } = startGateway();
    const reply = await app.inject({ url: '/', headers: { accept: 'text/html,*/*;q=0.8' } });
    expect(reply.headers['content-type']).toBe('text/html; charset=utf-8');
    expect(reply.headers['content-security-policy']).toContain("default-src 'none'");
    expect(reply.headers.vary).toBe('Accept');
    expect(reply.body).toContain('<a href="/docs">');
    expect(reply.body).not.toMatch(/<script|src=|https?:/);
  });

  test('shows the state, and no model to those without a key', async () => {
    const authentication = await withKeys(`alice:${secrets.alice}`);
    const { app, models } = startGateway({ authentication, loading: true });
    expect((await app.inject('/')).body).toContain('state: loading');
    models.setFailed();
    const { body } = await app.inject('/');
    expect(body).toContain('state: failed');
    expect(body).not.toContain('model:');
  });
});
