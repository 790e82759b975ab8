import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import Schema from 'typebox/schema';
import { describe, expect, test } from 'vitest';
import { type Usage, UsageTotals } from '../../src/access/usage/usage-lines.ts';
import type { UsageLedger } from '../../src/access/usage/usage-recorder.ts';
import { UsageList } from '../../src/api/info/usage-list.ts';
import { GatewayError } from '../../src/core/errors.ts';
import { gate } from '../support/fake-engine.ts';
import {
  chatBody,
  listen,
  postChat,
  postText,
  startGateway,
  type TestGatewayOptions,
} from '../support/start-gateway.ts';
import { bearer, secrets, withKeys } from '../support/test-keys.ts';

/** A ledger in memory: every record, in its order. */
class Records implements UsageLedger {
  readonly list: Usage[] = [];
  /** Awaited before a record is acknowledged. */
  safe: () => Promise<void> = async () => {};
  readonly #waiters: (() => void)[] = [];

  async record(usage: Usage): Promise<void> {
    this.list.push(usage);
    for (const wake of this.#waiters.splice(0)) wake();
    await this.safe();
  }

  async readAll(): Promise<readonly Usage[]> {
    const totals = new UsageTotals();
    for (const usage of this.list) totals.add(usage);
    return totals.list();
  }

  /** Resolves with the first record. */
  async first(): Promise<Usage | undefined> {
    if (this.list.length === 0) await new Promise<void>((resolve) => this.#waiters.push(resolve));
    return this.list[0];
  }
}

function start(options: TestGatewayOptions = {}) {
  const ledger = new Records();
  return { ledger, ...startGateway({ ledger, ...options }) };
}

const today = () => new Date().toISOString().slice(0, 10);

/** The prompt of `chatBody` has three words, the reply of the fake engine two tokens. */
const ofChat = {
  keyId: 'auth-disabled',
  requestCount: 1,
  errorCount: 0,
  promptTokenCount: 3,
  cachedTokenCount: 0,
  completionTokenCount: 2,
};

describe('what is recorded of a completion', () => {
  test.each([{ stream: false }, { stream: true }])(
    'is its usage, once, under its day, with %j',
    async (fields) => {
      const { app, engine, ledger } = start();
      engine.script.cachedTokenCount = 1;
      expect((await postChat(app, fields)).statusCode).toBe(200);
      expect(ledger.list).toEqual([{ ...ofChat, cachedTokenCount: 1, day: today() }]);
    },
  );

  test('goes to the key of its request', async () => {
    const authentication = await withKeys(`alice:${secrets.alice}\nbob:${secrets.bob}`);
    const { app, ledger } = start({ authentication });
    for (const secret of [secrets.alice, secrets.bob, secrets.alice]) {
      await app.inject({
        method: 'POST',
        url: '/v1/chat/completions',
        headers: bearer(secret),
        payload: chatBody(),
      });
    }
    expect(ledger.list.map(({ keyId }) => keyId)).toEqual(['alice', 'bob', 'alice']);
  });

  test('counts every prompt once and every choice', async () => {
    const { app, ledger } = start();
    const prompt = ['one two', 'three four five'];
    const { usage } = (await postText(app, { prompt, n: 3 })).json();
    expect(ledger.list).toMatchObject([
      { requestCount: 1, promptTokenCount: 5, completionTokenCount: 12 },
    ]);
    expect(usage).toMatchObject({ prompt_tokens: 5, completion_tokens: 12 });
  });

  test('is safe before the last frame of a stream is sent', async () => {
    const { app, ledger } = start();
    const safe = gate();
    ledger.safe = () => safe.opened;
    const { baseUrl } = await listen(app);
    const reply = await fetch(`${baseUrl}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(chatBody({ stream: true })),
    });
    let text = '';
    const reading = (async () => {
      for await (const chunk of reply.body?.pipeThrough(new TextDecoderStream()) ?? []) {
        text += chunk;
      }
    })();
    await ledger.first();
    await expect.poll(() => text).toContain(' world');
    // Time for a frame that would come in spite of it.
    await fetch(`${baseUrl}/ping`);
    expect(text).not.toMatch(/\[DONE\]|"finish_reason":"stop"/);
    safe.open();
    await reading;
    expect(text).toContain('[DONE]');
  });

  test('is safe before a body is sent', async () => {
    const { app, ledger } = start();
    const safe = gate();
    ledger.safe = () => safe.opened;
    let answered = false;
    const reply = postChat(app).then(({ statusCode }) => {
      answered = true;
      return statusCode;
    });
    await ledger.first();
    await new Promise((resolve) => setImmediate(resolve));
    expect(answered).toBe(false);
    safe.open();
    expect(await reply).toBe(200);
  });

  test('may be lost where it cannot be written: the request does not fail', async () => {
    const { app, ledger } = start();
    ledger.safe = () => Promise.reject(new Error('no space'));
    expect((await postChat(app)).statusCode).toBe(200);
    expect((await postChat(app, { stream: true })).body).toContain('[DONE]');
  });
});

describe('what is recorded of a completion without an end', () => {
  test('is at least what was generated when the client left', async () => {
    const { app, engine, ledger } = start();
    engine.script.beforeEvent = (index) => (index === 1 ? new Promise(() => {}) : undefined);
    const { port } = await listen(app);
    const client = request({
      port,
      method: 'POST',
      path: '/v1/chat/completions',
      headers: { 'content-type': 'application/json' },
    });
    client.on('error', () => {});
    client.end(JSON.stringify(chatBody({ stream: true })));
    const [reply] = (await once(client, 'response')) as [IncomingMessage];
    reply.on('error', () => {});
    await engine.until(({ eventCount }) => eventCount === 1);
    client.destroy();
    expect(await ledger.first()).toEqual({
      ...ofChat,
      day: today(),
      errorCount: 1,
      completionTokenCount: 1,
    });
  });

  test('is at least what was generated before the engine failed', async () => {
    const { app, engine, ledger } = start();
    engine.script.failure = { at: 1, error: new GatewayError('sequence_failed') };
    const reply = await postChat(app, { stream: true });
    expect(reply.body).toContain('sequence_failed');
    expect(ledger.list).toEqual([
      { ...ofChat, day: today(), errorCount: 1, completionTokenCount: 1 },
    ]);
  });

  test('has the whole of a choice that ended before another one failed', async () => {
    const { app, engine, ledger } = start();
    engine.script.cachedTokenCount = 2;
    const ended = gate();
    const { generate } = engine;
    let count = 0;
    engine.generate = async function* (prompt, signal) {
      count += 1;
      if (count === 1) {
        yield* generate.call(engine, prompt, signal);
        ended.open();
        return;
      }
      yield { type: 'text-delta', text: 'a' };
      await ended.opened;
      throw new GatewayError('sequence_failed');
    };
    await postChat(app, { stream: true, n: 2 });
    expect(ledger.list).toEqual([
      { ...ofChat, day: today(), errorCount: 1, cachedTokenCount: 2, completionTokenCount: 3 },
    ]);
  });

  test('is the request alone when nothing was computed, and nothing when it was refused before', async () => {
    const { app, engine, ledger } = start();
    engine.script.failure = { at: 0, error: new GatewayError('queue_full') };
    expect((await postChat(app)).statusCode).toBe(503);
    expect((await postChat(app, { temperature: -1 })).statusCode).toBe(400);
    const none = { promptTokenCount: 0, completionTokenCount: 0 };
    expect(ledger.list).toEqual([{ ...ofChat, ...none, day: today(), errorCount: 1 }]);
  });
});

describe('what is recorded of inputs', () => {
  const embed = (app: ReturnType<typeof start>['app']) =>
    app.inject({ method: 'POST', url: '/v1/embeddings', payload: { input: ['one two', 'three'] } });

  test('is their tokens, before the reply is sent', async () => {
    const { app, ledger } = start();
    expect((await embed(app)).statusCode).toBe(200);
    expect(ledger.list).toEqual([{ ...ofChat, day: today(), completionTokenCount: 0 }]);
  });

  test('is an error without tokens when they were not computed', async () => {
    const { app, engine, ledger } = start();
    engine.script.beforeVectors = () => Promise.reject(new GatewayError('engine_failed'));
    expect((await embed(app)).statusCode).toBe(500);
    const none = { promptTokenCount: 0, completionTokenCount: 0 };
    expect(ledger.list).toEqual([{ ...ofChat, ...none, day: today(), errorCount: 1 }]);
  });

  test('is the tokens of a ranking', async () => {
    const { app, ledger } = start({
      engineInfo: { embedding: { pooling: 'rank', width: 1, contextLength: 16 } },
    });
    const payload = { query: 'one', documents: ['two', 'three four'] };
    const reply = await app.inject({ method: 'POST', url: '/v1/rerank', payload });
    expect(reply.statusCode).toBe(200);
    expect(ledger.list).toMatchObject([{ requestCount: 1, promptTokenCount: 5 }]);
  });
});

describe('GET /admin/usage', () => {
  const usage = (fields: Partial<Usage>): Usage => ({ ...ofChat, day: '2026-11-24', ...fields });

  async function listed(query: string) {
    const { app, ledger } = start();
    ledger.list.push(
      usage({ keyId: 'alice' }),
      usage({ keyId: 'alice', errorCount: 1, cachedTokenCount: 1 }),
      usage({ keyId: 'bob' }),
      usage({ keyId: 'alice', day: '2026-11-23' }),
    );
    return app.inject(`/admin/usage${query}`);
  }

  test('lists sums by day and key', async () => {
    const reply = await listed('');
    expect(reply.statusCode).toBe(200);
    expect(Schema.Check(UsageList, reply.json())).toBe(true);
    expect(reply.json().data).toHaveLength(3);
    expect(reply.json().data[1]).toEqual({
      day: '2026-11-24',
      key_id: 'alice',
      requests: 2,
      errors: 1,
      prompt_tokens: 6,
      cached_tokens: 1,
      completion_tokens: 4,
    });
  });

  test.each([
    ['?day=2026-11-24', ['24 alice', '24 bob']],
    ['?from=2026-11-24', ['24 alice', '24 bob']],
    ['?to=2026-11-23', ['23 alice']],
    ['?from=2026-11-23&to=2026-11-24&key_id=alice', ['23 alice', '24 alice']],
    ['?key_id=nobody', []],
  ])('%s chooses', async (query, expected) => {
    const { data } = (await listed(query)).json();
    expect(
      data.map(({ day, key_id }: { day: string; key_id: string }) => `${day.slice(8)} ${key_id}`),
    ).toEqual(expected);
  });

  test.each([
    ['?day=today', 'day', 'like 2026-11-24'],
    ['?day=2026-02-30', 'day', '"2026-02-30"'],
    ['?day=', 'day', 'like 2026-11-24'],
    ['?day=2026-11-24&to=2026-11-24', 'day', 'alone'],
    ['?from=2026-11-25&to=2026-11-24', 'from', '2026-11-24'],
    ['?to=1', 'to', 'like 2026-11-24'],
    ['?key_id=a%20b', 'key_id', '1 to 64'],
    ['?key_id=a&key_id=b', 'key_id', 'once'],
    ['?keyid=a', 'keyid', 'key_id'],
  ])('%s is refused', async (query, param, message) => {
    const reply = await listed(query);
    expect(reply.statusCode).toBe(400);
    expect(reply.json().error).toEqual({
      type: 'invalid_request_error',
      code: 'invalid_value',
      param,
      message: expect.stringContaining(message),
    });
  });

  test('is empty where nothing is recorded', async () => {
    const { app } = startGateway();
    expect((await app.inject('/admin/usage')).json()).toEqual({ object: 'list', data: [] });
  });

  test('is for admins, and for this machine where there are no keys', async () => {
    const lines = `alice:${secrets.alice} scopes=admin\nbob:${secrets.bob} scopes=inference`;
    const { app } = start({ authentication: await withKeys(lines) });
    const status = async (secret: string) =>
      (await app.inject({ url: '/admin/usage', headers: bearer(secret) })).statusCode;
    expect([await status(secrets.alice), await status(secrets.bob)]).toEqual([200, 403]);
    const open = start().app;
    const remote = await open.inject({ url: '/admin/usage', remoteAddress: '192.0.2.1' });
    expect(remote.statusCode).toBe(403);
    expect(remote.json().error.message).toContain('only this machine may request the usage');
  });
});
