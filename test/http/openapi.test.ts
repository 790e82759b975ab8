import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Validator } from '@seriousme/openapi-schema-validator';
import type { TSchema } from 'typebox';
import Schema from 'typebox/schema';
import { describe, expect, test } from 'vitest';
import type { OpenApiDocument } from '../../src/http/openapi.ts';
import { startGateway } from '../support/start-gateway.ts';
import { bearer, secrets, withKeys } from '../support/test-keys.ts';

const sourceDir = fileURLToPath(new URL('../../src/', import.meta.url));

async function fetchDocument(): Promise<OpenApiDocument> {
  const { app } = startGateway();
  const reply = await app.inject('/openapi.json');
  expect(reply.statusCode).toBe(200);
  expect(reply.headers['content-type']).toContain('application/json');
  return reply.json();
}

/** The routes that the sources register, as `get /path`. */
function registeredRoutes(): string[] {
  const files = readdirSync(sourceDir, { recursive: true, encoding: 'utf8' });
  const sources = files
    .filter((file) => /^(api|http)[/\\].*\.ts$/.test(file))
    .map((file) => readFileSync(join(sourceDir, file), 'utf8'));
  const registration = /\bapp\.(get|post|put|patch|delete|all)\(\s*'([^']+)'/g;
  return sources.flatMap((source) =>
    [...source.matchAll(registration)].map(([, method = '', path = '']) => {
      const documented = path.replace(/\*$|:id/, '{id}');
      return `${method === 'all' ? 'get' : method} ${documented}`;
    }),
  );
}

describe('the API document', () => {
  test('is valid OpenAPI 3.1', async () => {
    const document = await fetchDocument();
    expect(document.openapi).toBe('3.1.0');
    const validator = new Validator();
    const copy = structuredClone(document) as object as Record<string, unknown>;
    expect(await validator.validate(copy)).toEqual({ valid: true });
    const broken = { ...document, info: {} } as object as Record<string, unknown>;
    expect((await validator.validate(broken)).valid).toBe(false);
  });

  test('has every route there is, and no other', async () => {
    const { paths } = await fetchDocument();
    const documented = Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method} ${path}`),
    );
    expect([...documented].sort()).toEqual(registeredRoutes().sort());
    expect(documented).toContain('post /v1/chat/completions');

    const { app } = startGateway();
    for (const route of documented) {
      const [method = '', path = ''] = route.split(' ');
      const request = { method: method.toUpperCase() as 'GET', url: path.replace('{id}', 'x') };
      const { body } = await app.inject(request);
      expect(body, route).not.toMatch(/"code":"(not_found|method_not_allowed)"/);
    }
  });

  test('refers only to schemas it has, and has none that nothing refers to', async () => {
    const document = await fetchDocument();
    const referred = [...JSON.stringify(document).matchAll(/"#\/components\/schemas\/(\w+)"/g)];
    expect(new Set(referred.map(([, name]) => name))).toEqual(
      new Set(Object.keys(document.components.schemas)),
    );
    expect(JSON.stringify(document)).not.toContain('"~');
  });

  test('has examples that fit their schemas, and an error for each code', async () => {
    const { paths, components } = await fetchDocument();
    const schemaOf = ({ $ref }: { readonly $ref?: string }): TSchema =>
      components.schemas[$ref?.split('/').at(-1) ?? ''] as TSchema;
    let exampleCount = 0;
    for (const methods of Object.values(paths)) {
      for (const { operationId, requestBody, responses } of Object.values(methods)) {
        const contents = [
          requestBody?.content,
          ...Object.values(responses).map((each) => each.content),
        ];
        for (const { schema, example, examples } of contents.map(
          (each) => each?.['application/json'] ?? { schema: {} },
        )) {
          const samples = [example, ...Object.values(examples ?? {}).map(({ value }) => value)];
          for (const sample of samples.filter((each) => each !== undefined)) {
            expect(Schema.Check(schemaOf(schema), sample), operationId).toBe(true);
            exampleCount += 1;
          }
        }
        expect(Object.keys(responses)).toContain('500');
      }
    }
    expect(exampleCount).toBeGreaterThan(30);
    const chat = paths['/v1/chat/completions']?.post;
    const statuses = Object.keys(chat?.responses ?? {});
    const refusals = ['400', '401', '403', '404', '408', '413', '414', '415', '429', '431'];
    expect(statuses).toEqual(['200', ...refusals, '500', '503', '504']);
    const refused = chat?.responses['400']?.content?.['application/json']?.examples;
    expect(refused).toHaveProperty('context_length_exceeded.value.error.type');
  });

  test('states ranges, and which fields accept null', async () => {
    const { components } = await fetchDocument();
    expect(components.schemas.ChatCompletionRequest).toMatchObject({
      required: ['messages'],
      properties: { top_logprobs: { type: ['integer', 'null'], minimum: 0, maximum: 20 } },
    });
  });
});

describe('security', () => {
  const named = [{ bearer: [] }, { apiKey: [] }];
  const securityOf = (document: OpenApiDocument) => ({
    chat: document.paths['/v1/chat/completions']?.post?.security,
    usage: document.paths['/admin/usage']?.get?.security,
    health: document.paths['/health']?.get?.security,
    metrics: document.paths['/metrics']?.get?.security,
  });

  test('names the two headers of a key, which are optional while authentication is off', async () => {
    const document = await fetchDocument();
    expect(document.components.securitySchemes).toMatchObject({
      bearer: { type: 'http', scheme: 'bearer' },
      apiKey: { type: 'apiKey', in: 'header', name: 'X-Api-Key' },
    });
    const optional = [...named, {}];
    expect(securityOf(document)).toEqual({
      chat: optional,
      usage: optional,
      health: [],
      metrics: [],
    });
  });

  test.each([true, false])('follows METRICS_AUTH_ENABLED: %s', async (protectedMetrics) => {
    const authentication = await withKeys(`alice:${secrets.alice}`, { protectedMetrics });
    const { app } = startGateway({ authentication });
    expect(securityOf((await app.inject('/openapi.json')).json())).toEqual({
      chat: named,
      usage: named,
      health: [],
      metrics: protectedMetrics ? named : [],
    });
  });

  test('names the refusals of a key, by their code and type on the wire', async () => {
    const { paths } = await fetchDocument();
    const responses = paths['/v1/chat/completions']?.post?.responses ?? {};
    const codes = (status: string) =>
      Object.keys(responses[status]?.content?.['application/json']?.examples ?? {});
    expect(codes('401')).toEqual(['invalid_api_key']);
    expect(codes('403')).toEqual(['insufficient_scope', 'model_not_allowed']);
    expect(codes('429').sort()).toEqual([
      'concurrency_exceeded',
      'insufficient_quota',
      'rate_limit_exceeded',
      'tokens_exceeded',
    ]);
    expect(Object.keys(paths['/ping']?.get?.responses ?? {})).toEqual([
      ...['200', '400', '408', '414', '431', '500'],
    ]);
    expect(JSON.stringify(responses['429'])).toContain('`rate_limit_exceeded` (`tokens`)');
    expect(responses['401']).toHaveProperty('headers.www-authenticate');
    expect(responses['429']).toHaveProperty('headers.retry-after');
    expect(responses['400']).not.toHaveProperty('headers.retry-after');
  });
});

describe('values', () => {
  test('that handlers check are listed', async () => {
    const { components, paths } = await fetchDocument();
    const { ChatCompletionRequest } = components.schemas;
    expect(ChatCompletionRequest).toMatchObject({
      properties: {
        response_format: { properties: { type: { enum: ['text', 'json_object', 'json_schema'] } } },
        tools: { items: { properties: { type: { enum: ['function'] } } } },
        messages: {
          items: {
            properties: {
              content: {
                items: {
                  properties: {
                    type: { enum: ['text', 'input_text', 'output_text', 'refusal'] },
                  },
                },
              },
            },
          },
        },
      },
    });
    const text = JSON.stringify(ChatCompletionRequest);
    expect(text).toContain('{"type":"string","enum":["none","auto","required"]}');
    expect(text).not.toContain('x-documented');
    expect(paths['/metrics']?.get?.parameters).toMatchObject([
      { name: 'format', schema: { enum: ['prometheus', 'openmetrics', 'json'] } },
    ]);
    for (const path of ['/metrics', '/admin/usage']) {
      expect(paths[path]?.get?.responses['400']?.content).toBeDefined();
    }
  });

  test('beyond the exact numbers of JSON are not bounds', async () => {
    const { components } = await fetchDocument();
    expect(components.schemas.ChatCompletionRequest).toMatchObject({
      properties: { seed: { type: ['integer', 'null'], format: 'int64' } },
    });
    expect(JSON.stringify(components)).not.toMatch(/"(minimum|maximum)":-?\d{16}/);
  });
});

describe('the page', () => {
  test('is Swagger UI over the document, and loads nothing from elsewhere', async () => {
    const { app } = startGateway();
    const reply = await app.inject('/docs');
    expect(reply.statusCode).toBe(200);
    expect(reply.headers['content-type']).toBe('text/html; charset=utf-8');
    expect(reply.body).not.toMatch(/https?:|@import|style=|<script>/);

    const policy = String(reply.headers['content-security-policy']);
    expect(policy).toContain("default-src 'none'");
    expect(policy).not.toMatch(/https?:|\*|unsafe/);
    expect(Object.values(reply.headers)).not.toContain('');

    const urls = [...reply.body.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, url = '']) => url);
    expect(urls.length).toBeGreaterThan(4);
    for (const url of urls) {
      const asset = await app.inject(url);
      expect(asset.statusCode, url).toBe(200);
      expect(asset.headers['content-security-policy'], url).toBe(policy);
      const { etag } = asset.headers;
      if (typeof etag === 'string') {
        const again = await app.inject({ url, headers: { 'if-none-match': etag } });
        expect(again.statusCode, url).toBe(304);
      }
      if (url.endsWith('.css')) expect(asset.body).not.toMatch(/@import|url\((?!["']?data:)/);
    }
    const described = await app.inject('/docs/json');
    expect(described.json()).toEqual(await fetchDocument());
  });

  test('needs no key, and has no other files', async () => {
    const authentication = await withKeys(`alice:${secrets.alice}`);
    const { app } = startGateway({ authentication });
    expect((await app.inject('/docs')).statusCode).toBe(200);
    for (const url of ['/docs/static/nothing.js', '/docs/static/../../package.json']) {
      const reply = await app.inject(url);
      expect(reply.statusCode, url).toBeGreaterThanOrEqual(401);
      expect(reply.json().error.code, url).toMatch(/not_found|invalid_api_key/);
    }
    const reply = await app.inject({ method: 'PUT', url: '/docs', headers: bearer(secrets.alice) });
    expect(reply.statusCode).toBe(405);
  });
});
