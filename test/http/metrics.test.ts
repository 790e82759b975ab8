import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, expect, test } from 'vitest';
import { Admission } from '../../src/admission/admission.ts';
import { GatewayMetrics } from '../../src/api/info/metrics-shapes.ts';
import { GatewayError } from '../../src/core/errors.ts';
import { engineStatistics } from '../../src/engine/engine-statistics.ts';
import type { Statistic } from '../../src/engine/engine-stats.ts';
import { ModelRegistry } from '../../src/model/registry.ts';
import { EngineWatch } from '../../src/observe/engine-watch.ts';
import { Metrics } from '../../src/observe/metrics/metrics.ts';
import type { RequestRecord } from '../../src/observe/trace/request-trace.ts';
import { gate } from '../support/fake-engine.ts';
import { readSeries } from '../support/read-metrics.ts';
import { listen, postChat, startGateway, type TestGateway } from '../support/start-gateway.ts';
import { bearer, secrets, withKeys } from '../support/test-keys.ts';

async function scrape({ app }: Pick<TestGateway, 'app'>) {
  return readSeries((await app.inject('/metrics?format=prometheus')).body);
}

describe('the form of /metrics', () => {
  test.each([
    ['text/plain', 'text/plain; version=0.0.4; charset=utf-8'],
    ['Text/Plain;q=0.3, */*', 'text/plain; version=0.0.4; charset=utf-8'],
    [
      'application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3',
      'text/plain; version=0.0.4; charset=utf-8',
    ],
    ['application/openmetrics-text', 'application/openmetrics-text; version=1.0.0; charset=utf-8'],
    ['application/json', 'application/json; charset=utf-8'],
    ['application/json;q=0.9', 'application/json; charset=utf-8'],
    // Go's HTTP client sends no header, Python's and curl any type, a browser pages first.
    [undefined, 'text/plain; version=0.0.4; charset=utf-8'],
    ['*/*', 'text/plain; version=0.0.4; charset=utf-8'],
    ['text/html,application/xhtml+xml,*/*;q=0.8', 'text/plain; version=0.0.4; charset=utf-8'],
    [
      'application/vnd.google.protobuf;q=0.7,text/plain;version=0.0.4;q=0.3',
      'text/plain; version=0.0.4; charset=utf-8',
    ],
  ])('follows Accept: %s', async (accept, contentType) => {
    const { app } = startGateway();
    const headers = accept === undefined ? {} : { accept };
    const reply = await app.inject({ url: '/metrics', headers });
    expect(reply.statusCode).toBe(200);
    expect(reply.headers['content-type']).toBe(contentType);
  });

  test('answers any method, and ?format= before Accept', async () => {
    const { app } = startGateway();
    const reply = await app.inject({
      method: 'POST',
      url: '/metrics/?format=prometheus',
      headers: { accept: 'application/json', 'content-type': 'what/ever' },
      payload: '{',
    });
    expect(reply.statusCode).toBe(200);
    expect(reply.body).toContain('# TYPE gateway_requests_total counter');
    const refused = await app.inject('/metrics?format=xml');
    expect(refused.statusCode).toBe(400);
    expect(refused.json().error).toMatchObject({ param: 'format', code: 'invalid_value' });
  });

  test('has every number of the JSON form as a series of the same name and value', async () => {
    const gateway = startGateway();
    await postChat(gateway.app);
    const { gateway: fields } = (await gateway.app.inject('/metrics?format=json')).json();
    const health = (await gateway.app.inject('/health')).json();
    const series = await scrape(gateway);
    expect(Object.keys(fields)).toEqual(Object.keys(GatewayMetrics.properties));
    expect(health.gateway.metrics).toEqual(fields);
    for (const [name, value] of Object.entries(fields)) {
      expect(series.value(`gateway_${name}`), name).toBe(value);
    }
  });

  test('has the eleven series of the Python gateway, with its names and types', async () => {
    const { app } = startGateway();
    const { body } = await app.inject('/metrics?format=prometheus');
    const { gateway: fields } = (await app.inject('/metrics?format=json')).json();
    const types = {
      requests_total: 'counter',
      requests_success: 'counter',
      requests_error: 'counter',
      requests_active: 'gauge',
      requests_authenticated: 'counter',
      requests_unauthorized: 'counter',
      bytes_sent: 'counter',
      queue_depth: 'gauge',
      queue_rejections: 'counter',
      queue_wait_seconds_total: 'counter',
      uptime_seconds: 'gauge',
    };
    expect(Object.keys(fields)).toEqual(Object.keys(types));
    for (const [name, type] of Object.entries(types)) {
      expect(body).toMatch(
        new RegExp(
          `# HELP gateway_${name} .+\\n# TYPE gateway_${name} ${type}\\ngateway_${name} \\d`,
        ),
      );
    }
    expect(fields.uptime_seconds).toBe(Math.floor(fields.uptime_seconds));
  });

  test('keeps the names of old counters in OpenMetrics too', async () => {
    const { app } = startGateway();
    const { body } = await app.inject('/metrics?format=openmetrics');
    expect(body).toContain('# TYPE gateway_requests counter\ngateway_requests_total 0\n');
    expect(body).toContain('# TYPE gateway_requests_success unknown\ngateway_requests_success 0\n');
    expect(body).not.toContain('\n\n');
    expect(body.endsWith('\n# EOF\n')).toBe(true);
  });
});

test('has every histogram and every engine statistic before the first request', async () => {
  const series = await scrape(startGateway({ loading: true }));
  const labels = { model_name: 'tiny/story model', engine: '0' };
  for (const name of ['inter_token_latency_seconds', 'time_to_first_token_seconds']) {
    expect(series.value(`vllm:${name}_count`, labels), name).toBe(0);
  }
  for (const reason of ['stop', 'length', 'abort']) {
    const finished = { ...labels, finished_reason: reason };
    expect(series.value('vllm:request_success_total', finished), reason).toBe(0);
  }
  const statistics: readonly Statistic[] = engineStatistics;
  for (const { series: name } of statistics) {
    if (name !== undefined) expect(series.value(name), name).toBe(0);
  }
});

test('counts who was let in and why others were not, and not who watches', async () => {
  const gateway = startGateway({
    authentication: {
      ...(await withKeys(`alice:${secrets.alice}\nbob:${secrets.bob}::2020-01-01T00:00:00Z`)),
      protectedMetrics: true,
    },
  });
  const ask = (url: string, secret?: string) =>
    gateway.app.inject({ url, headers: secret === undefined ? {} : bearer(secret) });
  await ask('/v1/models', secrets.alice);
  await ask('/v1/models', secrets.bob);
  await ask('/v1/models', secrets.carol);
  await ask('/v1/models');
  await ask('/metrics', secrets.alice);
  const { body } = await ask('/metrics?format=prometheus', secrets.alice);
  const series = readSeries(body);
  expect(series.value('gateway_requests_authenticated')).toBe(1);
  expect(series.value('gateway_requests_unauthorized')).toBe(3);
  for (const reason of ['expired', 'unknown', 'missing']) {
    expect(series.value('gateway_authentication_failures_total', { reason }), reason).toBe(1);
  }

  const open = startGateway();
  await postChat(open.app);
  expect((await scrape(open)).value('gateway_requests_authenticated')).toBe(0);
});

test('tells which state the model is in', async () => {
  const loading = await scrape(startGateway({ loading: true }));
  const ready = await scrape(startGateway());
  const states = ['loading', 'ready', 'failed'];
  const shown = (series: typeof ready) =>
    states.map((state) => series.value('gateway_model_state', { state }));
  expect(shown(loading)).toEqual([1, 0, 0]);
  expect(shown(ready)).toEqual([0, 1, 0]);
  expect(loading.value('gateway_slots')).toBe(0);
  expect(ready.value('gateway_slots')).toBe(4);
  expect(ready.value('gateway_model_bytes')).toBe(1_185_376);
});

describe('what routers read', () => {
  const vllm = { model_name: 'tiny/story model', engine: '0' };

  test('is the size of the cache in blocks that tell long prompts apart', async () => {
    const series = await scrape(startGateway());
    const [size] = series.all('vllm:cache_config_info');
    expect(size?.labels).toEqual({ ...vllm, block_size: '64', num_gpu_blocks: '128' });
    const none = await scrape(startGateway({ loading: true }));
    expect(none.all('vllm:cache_config_info')).toEqual([]);
  });

  test('are the adapters there are, none, and the use of the cache under both names', async () => {
    const gateway = startGateway();
    const stats = { ...gateway.engine.stats(), usedKvTokenCount: 2048 };
    gateway.engine.stats = () => stats;
    const series = await scrape(gateway);
    const adapters = { max_lora: '0', waiting_lora_adapters: '', running_lora_adapters: '' };
    expect(series.value('vllm:lora_requests_info', adapters)).toBeGreaterThan(1_700_000_000);
    expect(series.value('vllm:kv_cache_usage_perc', vllm)).toBe(0.25);
    expect(series.value('vllm:gpu_cache_usage_perc', vllm)).toBe(0.25);
  });

  test('are the sizes of batches, as a histogram', async () => {
    const gateway = startGateway();
    const large = Array.from({ length: 20 }, () => 0);
    const stats = {
      ...gateway.engine.stats(),
      batchCountBySize: [3, 2, 0, 1, ...large, 4],
      decodedTokenCount: 1000,
      backgroundPrefilledTokenCount: 300,
    };
    gateway.engine.stats = () => stats;
    for (const _ of ['first', 'second']) {
      const series = await scrape(gateway);
      const name = 'vllm:iteration_tokens_total';
      const bucket = (le: string) => series.value(`${name}_bucket`, { ...vllm, le });
      expect(['1', '2', '4', '8', '16384', '+Inf'].map(bucket)).toEqual([3, 5, 5, 6, 6, 10]);
      expect(series.value(`${name}_count`, vllm)).toBe(10);
      expect(series.value(`${name}_sum`, vllm)).toBe(700);
    }
    const { body } = await gateway.app.inject('/metrics');
    expect(body).toContain('# TYPE vllm:iteration_tokens_total histogram');
  });

  test('are embedding requests too, while they run and after', async () => {
    const gateway = startGateway();
    const { app, engine } = gateway;
    const gateOpen = gate();
    engine.script.beforeVectors = () => gateOpen.opened;
    // The fake counts them among its sequences, the native engine does not.
    const { stats } = engine;
    engine.stats = () => ({ ...stats.call(engine), runningCount: 0 });
    const reply = app.inject({
      method: 'POST',
      url: '/v1/embeddings',
      payload: { input: 'a b c' },
    });
    await engine.until(() => engine.preparedInputs.length === 1);
    await expect
      .poll(async () => (await scrape(gateway)).value('llamacpp:requests_processing'))
      .toBe(1);
    const running = await scrape(gateway);
    expect(running.value('vllm:num_requests_running', vllm)).toBe(1);
    expect(running.value('llamacpp:prompt_tokens_total')).toBe(0);
    gateOpen.open();
    await reply;
    await expect
      .poll(async () => (await scrape(gateway)).value('llamacpp:prompt_tokens_total'))
      .toBe(3);
    const ended = await scrape(gateway);
    expect(ended.value('llamacpp:requests_processing')).toBe(0);
    expect(ended.value('llamacpp:prompt_seconds_total')).toBeGreaterThan(0);
    expect(ended.value('llamacpp:prompt_tokens_seconds')).toBeGreaterThan(0);
  });

  test('of a server that only embeds counts each request once', async () => {
    const gateway = startGateway({ engineInfo: { generates: false } });
    const { app, engine } = gateway;
    const gateOpen = gate();
    engine.script.beforeVectors = () => gateOpen.opened;
    const reply = app.inject({ method: 'POST', url: '/v1/embeddings', payload: { input: 'a' } });
    await expect
      .poll(async () => (await scrape(gateway)).value('llamacpp:requests_processing'))
      .toBe(1);
    gateOpen.open();
    await reply;
  });
});

describe('what is counted', () => {
  test('guessed tokens, under the names of vLLM and of llama-server', async () => {
    const gateway = startGateway();
    const stats = {
      ...gateway.engine.stats(),
      draftCount: 5,
      draftedTokenCount: 14,
      acceptedTokenCount: 7,
      acceptedTokenCountByPosition: [4, 3, 0],
    };
    gateway.engine.stats = () => stats;
    const series = await scrape(gateway);
    const again = await scrape(gateway);
    const vllm = { model_name: 'tiny/story model', engine: '0' };
    for (const [prefix, labels] of [
      ['vllm:spec_decode_num_', vllm],
      ['llamacpp:spec_decode_num_', {}],
    ] as const) {
      expect(series.value(`${prefix}drafts_total`, labels)).toBe(5);
      expect(series.value(`${prefix}draft_tokens_total`, labels)).toBe(14);
      expect(series.value(`${prefix}accepted_tokens_total`, labels)).toBe(7);
      for (const [place, count] of stats.acceptedTokenCountByPosition.entries()) {
        const name = `${prefix}accepted_tokens_per_pos_total`;
        const position = { ...labels, position: String(place) };
        expect(series.value(name, position)).toBe(count);
        expect(again.value(name, position)).toBe(count);
      }
    }
  });

  test('a request that is answered: tokens, bytes, times', async () => {
    const gateway = startGateway();
    gateway.engine.script.cachedTokenCount = 1;
    const plain = await postChat(gateway.app, { max_tokens: 9 });
    const streamed = await postChat(gateway.app, { stream: true });
    const series = await scrape(gateway);
    expect(series.value('gateway_requests_total')).toBe(2);
    expect(series.value('gateway_requests_success')).toBe(2);
    expect(series.value('gateway_bytes_sent')).toBe(
      Buffer.byteLength(plain.body) + Buffer.byteLength(streamed.body),
    );
    const labels = { model_name: 'tiny/story model', engine: '0' };
    const sum = (name: string) => series.value(`vllm:${name}_sum`, labels);
    const count = (name: string) => series.value(`vllm:${name}_count`, labels);
    expect([count('time_to_first_token_seconds'), count('e2e_request_latency_seconds')]).toEqual([
      2, 2,
    ]);
    expect([sum('request_prompt_tokens'), sum('request_generation_tokens')]).toEqual([6, 4]);
    expect(sum('request_prefill_kv_computed_tokens')).toBe(4);
    expect([count('request_params_max_tokens'), sum('request_params_max_tokens')]).toEqual([1, 9]);
    expect(series.value('vllm:request_success_total', { ...labels, finished_reason: 'stop' })).toBe(
      2,
    );
    expect(
      series.value('gateway_http_requests_total', {
        route: '/v1/chat/completions',
        method: 'POST',
        status: '200',
      }),
    ).toBe(2);
  });

  test('a request while it runs', async () => {
    const gateway = startGateway();
    const end = gate();
    gateway.engine.script.beforeEvent = () => end.opened;
    const running = postChat(gateway.app);
    await gateway.engine.until((engine) => engine.stats().runningCount === 1);
    const series = await scrape(gateway);
    expect(series.value('gateway_requests_total')).toBe(1);
    expect(series.value('gateway_requests_active')).toBe(1);
    expect(series.value('gateway_requests_success')).toBe(0);
    end.open();
    await running;
    expect((await scrape(gateway)).value('gateway_requests_success')).toBe(1);
  });

  test('refusals, by code and not as requests', async () => {
    const gateway = startGateway();
    await postChat(gateway.app, { temperature: -9 });
    await gateway.app.inject('/nowhere/at/all');
    await gateway.app.inject('/%ff');
    const series = await scrape(gateway);
    expect(series.value('gateway_requests_total')).toBe(0);
    expect(series.value('gateway_failures_total', { code: 'invalid_value' })).toBe(1);
    expect(series.value('gateway_failures_total', { code: 'not_found' })).toBe(1);
    expect(series.value('gateway_failures_total', { code: 'bad_request' })).toBe(1);
    const lost = { route: 'none', method: 'GET', status: '404' };
    expect(series.value('gateway_http_requests_total', lost)).toBe(1);
  });

  test('bytes that are no request', async () => {
    const gateway = startGateway();
    const { port } = await listen(gateway.app);
    const socket = connect(port, '127.0.0.1').resume();
    socket.end('NONSENSE\r\n\r\n');
    await once(socket, 'close');
    const series = await scrape(gateway);
    expect(series.value('gateway_failures_total', { code: 'bad_request' })).toBe(1);
  });

  test.each([true, false])('a generation that fails, streamed: %s', async (stream) => {
    const gateway = startGateway();
    gateway.engine.script.failure = { at: 1, error: new GatewayError('sequence_failed') };
    await postChat(gateway.app, { stream });
    const series = await scrape(gateway);
    expect(series.value('gateway_requests_error')).toBe(1);
    expect(series.value('gateway_requests_success')).toBe(0);
    expect(series.value('gateway_failures_total', { code: 'sequence_failed' })).toBe(1);
  });

  test.each([true, false])('a client that leaves, streamed: %s', async (stream) => {
    const gateway = startGateway();
    const { baseUrl } = await listen(gateway.app);
    gateway.engine.script.beforeEvent = (index) =>
      index === 1 ? new Promise(() => {}) : undefined;
    const client = new AbortController();
    const body = JSON.stringify({ messages: [{ role: 'user', content: 'hello' }], stream });
    const headers = { 'content-type': 'application/json' };
    const reply = fetch(`${baseUrl}/v1/chat/completions`, {
      method: 'POST',
      body,
      headers,
      signal: client.signal,
    });
    reply.catch(() => {});
    await gateway.engine.until(({ eventCount }) => eventCount === 1);
    client.abort();
    await gateway.engine.until(({ endings }) => endings.length === 1);
    await expect
      .poll(async () => (await scrape(gateway)).value('gateway_requests_cancelled_total'))
      .toBe(1);
    const series = await scrape(gateway);
    expect(series.value('gateway_requests_total')).toBe(1);
    expect(series.value('gateway_requests_error')).toBe(0);
    const aborted = { model_name: 'tiny/story model', engine: '0', finished_reason: 'abort' };
    expect(series.value('vllm:request_success_total', aborted)).toBe(1);
  });
});

describe('series of single keys', () => {
  const record: RequestRecord = {
    requestId: 'r',
    keyId: 'alice',
    client: '::1',
    method: 'POST',
    path: '/v1/chat/completions',
    route: '/v1/chat/completions',
    status: 200,
    failure: undefined,
    keyFailure: undefined,
    durationMs: 1,
    sentBytes: 2,
    generation: {
      choiceCount: 1,
      maxTokens: undefined,
      promptTokenCount: 7,
      cachedTokenCount: 5,
      completionTokenCount: 3,
      firstTokenMs: 1,
      sequences: [],
    },
    inputTokenCount: undefined,
    traceHeaders: undefined,
  };
  const start = () => {
    const models = new ModelRegistry();
    const watch = new EngineWatch(models, 0);
    const admission = new Admission({ waitingCount: 0, waitMs: 0 }, () => 1);
    const inputAdmission = admission;
    return new Metrics({
      ...{ models, watch, admission, inputAdmission },
      modelName: 'tiny',
      version: '0.0.0',
    });
  };

  test('are left out where everyone may read', async () => {
    const metrics = start();
    metrics.ended(undefined, record);
    expect(await metrics.render('prometheus', { withKeys: false })).not.toContain('alice');
    const series = readSeries(await metrics.render('prometheus', { withKeys: true }));
    expect(
      series.value('gateway_key_requests_total', { key_id: 'alice', outcome: 'success' }),
    ).toBe(1);
    for (const [kind, count] of Object.entries({ prompt: 7, cached: 5, completion: 3 })) {
      expect(series.value('gateway_key_tokens_total', { key_id: 'alice', kind })).toBe(count);
    }
    expect(metrics.counts.requestsAuthenticated).toBe(1);
  });

  test('are added up from the hundredth key on', async () => {
    const metrics = start();
    for (let key = 0; key < 150; key++) {
      metrics.ended(undefined, { ...record, keyId: `key-${key}`, generation: undefined });
    }
    const series = readSeries(await metrics.render('prometheus', { withKeys: true }));
    const name = 'gateway_key_requests_total';
    expect(series.all(name)).toHaveLength(101);
    expect(series.value(name, { key_id: '(other)', outcome: 'success' })).toBe(50);
  });

  test('count refusals by keys and limits', () => {
    const metrics = start();
    for (const status of [401, 429]) {
      metrics.ended(undefined, { ...record, status, keyId: undefined, generation: undefined });
    }
    metrics.ended(undefined, {
      ...record,
      status: 503,
      failure: 'queue_full',
      generation: undefined,
    });
    expect(metrics.counts).toMatchObject({ requestsUnauthorized: 2, queueRejections: 1 });
  });
});
