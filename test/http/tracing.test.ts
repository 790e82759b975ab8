import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { expect, onTestFinished, test } from 'vitest';
import { ModelRegistry } from '../../src/model/registry.ts';
import { Tracing } from '../../src/observe/trace/tracing.ts';
import { FakeEngine } from '../support/fake-engine.ts';
import { card, chatBody, startGateway } from '../support/start-gateway.ts';

interface Span {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly kind: number;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes: readonly { readonly key: string; readonly value: object }[];
  readonly events: readonly { readonly name: string }[];
  readonly status: { readonly code?: number; readonly message?: string };
}

interface Export {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: Span['attributes'] };
    readonly scopeSpans: readonly { readonly spans: readonly Span[] }[];
  }[];
}

/** A collector that keeps what it gets, and the traces of a gateway that sends to it. */
async function start() {
  const exports: Export[] = [];
  const server = createServer(async (request, response) => {
    if (request.url === '/v1/traces') exports.push((await json(request)) as Export);
    response.setHeader('content-type', 'application/json').end('{}');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.close();
  });
  const models = new ModelRegistry();
  models.setReady({ card, engine: new FakeEngine() });
  const { port } = server.address() as AddressInfo;
  const tracing = new Tracing({ endpoint: `http://127.0.0.1:${port}/`, models, version: '1.2.3' });
  const gateway = startGateway({ tracing });
  const finish = async () => {
    await tracing.close();
    const resourceSpans = exports.flatMap((each) => each.resourceSpans);
    return {
      resource: toObject(resourceSpans[0]?.resource.attributes ?? []),
      spans: resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans)),
    };
  };
  return { gateway, finish };
}

function toObject(attributes: Span['attributes']): Record<string, unknown> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]));
}

const traceId = '0af7651916cd43dd8448eb211c80319c';
const parentId = 'b7ad6b7169203331';

test('a request is a trace below the span of its client, with what the model did', async () => {
  const { gateway, finish } = await start();
  gateway.engine.script.cachedTokenCount = 2;
  const headers = { traceparent: `00-${traceId}-${parentId}-01`, 'x-request-id': 'ours-1' };
  const payload = chatBody({ max_tokens: 7 });
  await gateway.app.inject({ method: 'POST', url: '/v1/chat/completions', headers, payload });
  const { spans, resource } = await finish();
  expect(resource).toMatchObject({
    'service.name': 'llama-gguf-inference',
    'service.version': '1.2.3',
  });
  const [inner, server] = spans.toSorted((a, b) => a.kind - b.kind);
  expect(server).toMatchObject({
    traceId,
    parentSpanId: parentId,
    name: 'POST /v1/chat/completions',
  });
  expect(toObject(server?.attributes ?? [])).toMatchObject({
    'http.request.method': 'POST',
    'http.response.status_code': 200,
    'url.path': '/v1/chat/completions',
    'gateway.request.id': 'ours-1',
  });
  expect(inner).toMatchObject({
    traceId,
    parentSpanId: server?.spanId,
    name: `chat ${card.id}`,
    events: [{ name: 'first token' }],
  });
  expect(toObject(inner?.attributes ?? [])).toMatchObject({
    'gen_ai.operation.name': 'chat',
    'gen_ai.request.model': card.id,
    'gen_ai.request.max_tokens': 7,
    'gen_ai.usage.input_tokens': 3,
    'gen_ai.usage.output_tokens': 2,
    'gen_ai.usage.cache_read.input_tokens': 2,
    'gen_ai.response.finish_reasons': { values: [{ stringValue: 'stop' }] },
  });
  expect(BigInt(server?.endTimeUnixNano ?? 0)).toBeGreaterThanOrEqual(
    BigInt(server?.startTimeUnixNano ?? 0),
  );
});

test('a failure of the server is one of its span, a mistake of the client is not', async () => {
  const { gateway, finish } = await start();
  const post = (payload: object) =>
    gateway.app.inject({ method: 'POST', url: '/v1/chat/completions', payload });
  gateway.engine.script.failure = { at: 0, error: new Error('broken') };
  await post(chatBody());
  await post({ messages: 'none' });
  const { spans } = await finish();
  const servers = spans.filter(({ name }) => name === 'POST /v1/chat/completions');
  const byStatus = new Map(
    servers.map((span) => [toObject(span.attributes)['http.response.status_code'], span]),
  );
  expect(byStatus.get(500)?.status).toMatchObject({ code: 2 });
  expect(byStatus.get(400)?.status.code ?? 0).toBe(0);
});

test('what is watched all the time, and what a client does not want traced, is not', async () => {
  const { gateway, finish } = await start();
  await gateway.app.inject('/health');
  await gateway.app.inject('/metrics');
  const headers = { traceparent: `00-${traceId}-${parentId}-00` };
  await gateway.app.inject({ url: '/v1/models', headers });
  await gateway.app.inject('/v1/models');
  const { spans } = await finish();
  expect(spans.map(({ name }) => name)).toEqual(['GET /v1/models']);
  expect(spans[0]?.traceId).not.toBe(traceId);
  expect(spans[0]?.parentSpanId ?? '').toBe('');
});

test('a collector that does not answer does not keep the server from ending', async () => {
  const models = new ModelRegistry();
  const tracing = new Tracing({ endpoint: 'http://127.0.0.1:9', models, version: '0' });
  const { app } = startGateway({ tracing });
  await app.inject('/v1/models');
  await tracing.close();
  // It would try again for as long as there are attempts left; the time is against a test that hangs.
}, 30_000);
