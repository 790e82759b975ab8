import { once } from 'node:events';
import { METHODS } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import Schema from 'typebox/schema';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Health } from '../../src/api/info/health-shapes.ts';
import type { Gateway } from '../../src/server/gateway.ts';
import { buildHealthServer, type HealthServerDeps } from '../../src/server/health-server.ts';
import type { ServiceState } from '../../src/server/service-state.ts';
import { gate } from '../support/fake-engine.ts';
import { card, postChat, startGateway } from '../support/start-gateway.ts';
import { secrets, withKeys } from '../support/test-keys.ts';

describe('/ping on the main port', () => {
  test.each(['/ping', '/ping/', '/ping?x=1', '/ping/?x=1'])('%s is empty and 200', async (url) => {
    const { app } = startGateway({ loading: true });
    const reply = await app.inject(url);
    expect(reply.statusCode).toBe(200);
    expect(reply.headers['content-length']).toBe('0');
    expect(reply.body).toBe('');
  });

  test('answers any method, whatever its body is', async () => {
    const { app } = startGateway();
    // CONNECT never becomes a request, and TRACE is allowed nowhere.
    for (const method of METHODS.filter((name) => name !== 'CONNECT' && name !== 'TRACE')) {
      for (const url of ['/ping', '/health']) {
        const reply = await app.inject({
          method: method as 'POST',
          url,
          headers: { 'content-type': 'what/ever; x' },
          payload: '{',
        });
        expect(reply.statusCode, `${method} ${url}`).toBe(200);
      }
    }
  });
});

describe('/ready on the main port', () => {
  const ask = async (app: Gateway, method: 'GET' | 'HEAD' = 'GET') => {
    const { statusCode, body, headers } = await app.inject({ method, url: '/ready' });
    return [statusCode, body, headers['retry-after']];
  };

  test('is 200 only while new requests are answered, and needs no key', async () => {
    const authentication = await withKeys(`alice:${secrets.alice}`);
    const { app, models, drain, engine } = startGateway({ authentication, loading: true });
    expect(await ask(app)).toEqual([503, 'loading', '2']);
    models.setReady({ card, engine });
    expect(await ask(app)).toEqual([200, 'ready', undefined]);
    expect(await ask(app, 'HEAD')).toEqual([200, '', undefined]);
    void drain.finish(60_000);
    expect(await ask(app)).toEqual([503, 'draining', '2']);
    for (const url of ['/health', '/v1/health', '/ping']) {
      expect((await app.inject(url)).statusCode, url).toBe(200);
    }
  });

  test('is 503 after a failure', async () => {
    const { app, models } = startGateway();
    models.setFailed();
    expect(await ask(app)).toEqual([503, 'failed', '2']);
    expect(await ask(app, 'HEAD')).toEqual([503, '', '2']);
  });
});

describe('/health on the main port', () => {
  const idle = { max_concurrent: 4, max_queue_size: 0, active: 0, waiting: 0 };

  test.each(['/health', '/health/', '/health?x=1'])('%s is indented JSON', async (url) => {
    const { app } = startGateway();
    const reply = await app.inject(url);
    expect(reply.statusCode).toBe(200);
    expect(reply.headers['content-type']).toContain('application/json');
    expect(reply.body).toBe(JSON.stringify(reply.json(), null, 2));
    expect(Schema.Check(Health, reply.json())).toBe(true);
    expect(reply.json()).toEqual({
      status: 'ok',
      code: 200,
      backend: { status: 'ok', progress: 1 },
      gateway: { status: 'ok', metrics: expect.objectContaining({ requests_total: 0 }) },
      queue: idle,
      authentication: { enabled: false },
    });
  });

  test('tells how far a model is loaded', async () => {
    const { app, models } = startGateway({ loading: true });
    models.setProgress(0.25);
    const reply = await app.inject('/health');
    expect(reply.statusCode).toBe(200);
    expect(reply.json()).toMatchObject({
      status: 'error',
      code: 503,
      backend: { status: 'loading', progress: 0.25 },
      queue: { ...idle, max_concurrent: 0 },
    });
  });

  test('tells that a model could not be loaded', async () => {
    const { app, models } = startGateway({ loading: true });
    models.setFailed();
    const reply = await app.inject('/health');
    expect(reply.statusCode).toBe(200);
    expect(reply.json()).toMatchObject({
      status: 'error',
      code: 503,
      backend: { status: 'failed' },
    });
  });

  test('counts what runs, and tells of draining', async () => {
    const { app, engine, drain } = startGateway();
    const end = gate();
    engine.script.beforeEvent = () => end.opened;
    const running = postChat(app);
    await engine.until(() => engine.stats().runningCount === 1);
    const drained = drain.finish(60_000);

    const reply = await app.inject('/health');
    expect(reply.json()).toMatchObject({
      status: 'ok',
      gateway: { status: 'draining' },
      queue: { ...idle, active: 1 },
    });

    end.open();
    expect((await running).statusCode).toBe(200);
    expect(await drained).toBe(0);
  });
});

describe('the health port', () => {
  test('answers GET and HEAD on any path with an empty 200', async () => {
    const { url } = await start();
    for (const path of ['/', '/ping', '/any/where?x=1', '//']) {
      for (const method of ['GET', 'HEAD']) {
        const reply = await fetch(url + path, { method });
        expect(reply.status, `${method} ${path}`).toBe(200);
        expect(reply.headers.get('content-type')).toBe('text/plain');
        expect(await reply.text()).toBe('');
      }
    }
  });

  test('refuses other methods on any path', async () => {
    const { url } = await start();
    for (const [path, method] of [
      ['/', 'POST'],
      ['/ready', 'DELETE'],
      ['/ping', 'OPTIONS'],
    ] as const) {
      const reply = await fetch(url + path, { method, ...(method === 'POST' && { body: 'x' }) });
      expect(reply.status).toBe(405);
      expect(reply.headers.get('allow')).toBe('GET, HEAD');
    }
  });

  test.each([
    ['loading', 200, 503],
    ['ready', 200, 200],
    ['draining', 200, 503],
    ['stuck', 503, 503],
    ['failed', 503, 503],
    ['crashed', 503, 503],
  ] as const)(
    'while %s says so on /live with %i and on /ready with %i',
    async (state, live, ready) => {
      const { url } = await start({ state: () => state });
      for (const [path, status] of [
        ['/live', live],
        ['/live/?x=1', live],
        ['/ready', ready],
        ['/ready/?x=1', ready],
      ] as const) {
        const reply = await fetch(url + path);
        expect(reply.status, path).toBe(status);
        expect(await reply.text()).toBe(state);
        const retryAfter = path.startsWith('/ready') && ready === 503 ? '2' : null;
        expect(reply.headers.get('retry-after')).toBe(retryAfter);
        const head = await fetch(url + path, { method: 'HEAD' });
        expect([head.status, await head.text()]).toEqual([status, '']);
      }
      expect((await fetch(url)).status).toBe(200);
    },
  );

  test('says 204 on /ping until ready only where that is asked for', async () => {
    let state: ServiceState = 'loading';
    const [plain, strict] = [
      await start({ state: () => state }),
      await start({ readiness: true, state: () => state }),
    ];
    const status = async (url: string) => (await fetch(`${url}/ping?x=1`)).status;
    expect([await status(plain.url), await status(strict.url)]).toEqual([200, 204]);
    expect((await fetch(`${strict.url}/other`)).status).toBe(200);
    state = 'ready';
    expect(await status(strict.url)).toBe(200);
    state = 'draining';
    expect(await status(strict.url)).toBe(204);
  });

  test('answers others while one client sends half a request, and drops that one', async () => {
    const { url, port, server } = await start();
    expect(server.headersTimeout).toBe(5000);
    expect(server.maxConnections).toBeGreaterThan(0);
    const slow = connect(port, '127.0.0.1');
    onTestFinished(() => void slow.destroy());
    slow.write('GET / HTTP/1.1\r\nHost:');
    await once(server, 'connection');
    expect((await fetch(url)).status).toBe(200);
  });

  async function start(deps: Partial<HealthServerDeps> = {}) {
    const server = buildHealthServer({ readiness: false, state: () => 'ready', ...deps });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    onTestFinished(async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    });
    const { port } = server.address() as AddressInfo;
    return { server, port, url: `http://127.0.0.1:${port}` };
  }
});
