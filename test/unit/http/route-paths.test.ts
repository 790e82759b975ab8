import { describe, expect, test } from 'vitest';
import { RoutePaths } from '../../../src/http/route-paths.ts';

function paths(): RoutePaths {
  const known = new RoutePaths();
  for (const path of ['/v1/models', '/health', '/props', '/docs', '/docs/*', '/metrics', '/']) {
    known.add(path, ['GET', 'HEAD']);
  }
  known.add('/v1/models/*', ['GET']);
  known.add('/v1/models/*', ['HEAD']);
  for (const path of ['/v1/chat/completions', '/v1/completions', '/v1/embeddings', '/completion']) {
    known.add(path, ['POST']);
  }
  known.add('/v1/chat/completions/input_tokens', ['POST']);
  known.add('/v1/rerank', ['POST']);
  known.add('/v1/responses/:id/cancel', ['POST']);
  known.add('/tokenize', ['POST']);
  known.add('*', ['OPTIONS']);
  return known;
}

describe('a path that means a route', () => {
  test.each([
    ['/chat/completions', '/v1/chat/completions'],
    ['/chat/completions/input_tokens', '/v1/chat/completions/input_tokens'],
    ['/completions?x=1', '/v1/completions?x=1'],
    ['/embeddings/', '/v1/embeddings'],
    ['/models', '/v1/models'],
    ['/models/a/b', '/v1/models/a/b'],
    ['/models/a%2Fb', '/v1/models/a%2Fb'],
    ['/responses/resp_1/cancel', '/v1/responses/resp_1/cancel'],
    ['/v1/v1/chat/completions', '/v1/chat/completions'],
    ['/v1/v1/models/a', '/v1/models/a'],
    ['//v1/chat/completions', '/v1/chat/completions'],
    ['/v1//chat///completions//', '/v1/chat/completions'],
    ['/api/v1/chat/completions', '/v1/chat/completions'],
    ['/api/openai/v1/models', '/v1/models'],
    ['/openai/v1/embeddings', '/v1/embeddings'],
    ['/v1/openai/chat/completions', '/v1/chat/completions'],
    ['/v1beta/openai/chat/completions', '/v1/chat/completions'],
    [
      '/openai/deployments/gpt%204/chat/completions?api-version=2024-10-21',
      '/v1/chat/completions?api-version=2024-10-21',
    ],
    ['/openai/deployments/m/embeddings', '/v1/embeddings'],
    ['/v1/engines/davinci/completions', '/v1/completions'],
    ['/rerank', '/v1/rerank'],
    ['/reranking', '/v1/rerank'],
    ['/v1/reranking', '/v1/rerank'],
    ['/v2/rerank', '/v1/rerank'],
    ['/api/v1/reranking', '/v1/rerank'],
    ['/v1/health', '/health'],
    ['/v1/tokenize', '/tokenize'],
    ['/v1/docs/static/x.js', '/docs/static/x.js'],
  ])('%s is %s', (url, route) => {
    expect(paths().resolve(url)).toBe(route);
  });

  test.each([
    '/',
    '/?a=/v1/models',
    '/v1/models',
    '/v1/models/?x=//',
    '/v1/models/a/b',
    '/docs/',
    '/health?a#b',
  ])('%s already is its own', (url) => {
    expect(paths().resolve(url)).toBe(url);
  });

  test.each([
    '/v1',
    '/v1/',
    '/chat',
    '/api/chat',
    '/api/chat/completions',
    '/api/models',
    '/v3/chat/completions',
    '*',
    `/${'v1/'.repeat(7)}models`,
    `/x${'/'.repeat(600)}models`,
  ])('%s means none', (url) => {
    expect(paths().resolve(url)).toBe(url);
  });
});

describe('the nearest route', () => {
  test.each([
    ['POST', '/v1/chat/completion', 'POST /v1/chat/completions'],
    ['GET', '/v1/chat/completion', 'POST /v1/chat/completions'],
    ['POST', '/chat/completion', 'POST /v1/chat/completions'],
    ['POST', '/v1/chat', 'POST /v1/chat/completions'],
    ['POST', '/v1/complations', 'POST /v1/completions'],
    ['POST', '/llm/chat/completions', 'POST /v1/chat/completions'],
    ['POST', '/api/chat/completions', 'POST /v1/chat/completions'],
    ['GET', '/api/models', 'GET /v1/models'],
    ['GET', '/v3/models', 'GET /v1/models'],
    ['GET', '/v1/model', 'GET /v1/models'],
    ['POST', '/api/chat', 'POST /v1/chat/completions'],
    ['POST', '/api/generate', 'POST /v1/completions'],
    ['GET', '/api/tags', 'GET /v1/models'],
    ['GET', '/healthz', 'GET /health'],
    ['PUT', '/healhtz', 'GET /health'],
    ['GET', '/metric', 'GET /metrics'],
    ['GET', '/v1', 'GET /v1/models'],
  ])('to %s %s is %s', (method, path, nearest) => {
    const found = paths().nearest({ method, path });
    expect(`${found?.method} ${found?.path}`).toBe(nearest);
  });

  test.each(['/nonsense', '/v1/nonsense', '/favicon.ico', '*'])('to %s does not exist', (path) => {
    expect(paths().nearest({ method: 'GET', path })).toBeUndefined();
  });

  test('to a path longer than any route is not searched', () => {
    expect(paths().nearest({ method: 'GET', path: `/health${'z'.repeat(9000)}` })).toBeUndefined();
  });

  test('is found at once, however a path is made', () => {
    const known = paths();
    const hostile = ['/v1'.repeat(170), '/a'.repeat(255), '//'.repeat(255), '/deployments/x'];
    const begin = performance.now();
    for (const path of hostile) {
      for (let count = 0; count < 100; count++) {
        known.resolve(path);
        known.nearest({ method: 'GET', path });
      }
    }
    // 800 calls: 2 ms each would be a stall.
    expect(performance.now() - begin).toBeLessThan(1600);
  });
});
