import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Validator } from '@seriousme/openapi-schema-validator';
import type { TSchema } from 'typebox';
import Schema from 'typebox/schema';
import { describe, expect, test } from 'vitest';
import type { OpenApiDocument } from '../../src/http/openapi-document.ts';
import { startGateway } from '../support/start-gateway.ts';

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
      const documented = path.replace(/\*$/, '{id}');
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
    expect(statuses).toEqual(['200', '400', '404', '413', '415', '500', '503']);
    const refused = chat?.responses['400']?.content?.['application/json']?.examples;
    expect(refused).toHaveProperty('context_length_exceeded.value.error.type');
  });

  test('tells ranges, and what may be null', async () => {
    const { components } = await fetchDocument();
    expect(components.schemas.ChatCompletionRequest).toMatchObject({
      required: ['messages'],
      properties: { top_logprobs: { type: ['integer', 'null'], minimum: 0, maximum: 20 } },
    });
  });
});

describe('the page', () => {
  test('shows every operation and field, and loads nothing', async () => {
    const document = await fetchDocument();
    const { app } = startGateway();
    const reply = await app.inject('/docs');
    expect(reply.statusCode).toBe(200);
    expect(reply.headers['content-type']).toBe('text/html; charset=utf-8');
    expect(reply.headers['content-security-policy']).toContain("default-src 'none'");
    for (const path of Object.keys(document.paths))
      expect(reply.body).toContain(`</span> ${path}</h3>`);
    for (const name of ['top_logprobs', 'stream_options', 'timings']) {
      expect(reply.body).toContain(`<code>${name}</code>`);
    }
    expect(reply.body).toContain('&#60;|im_start|&#62;');
    expect(reply.body).not.toMatch(/<script|<link|<img|src=|@import|url\(|https?:/);
  });
});
