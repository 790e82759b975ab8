import { describe, expect, onTestFinished, test } from 'vitest';
import { MemoryStore } from '../../src/access/limits/memory-store.ts';
import { gate } from '../support/fake-engine.ts';
import {
  chatBody,
  listen,
  postChat,
  startGateway,
  type TestGateway,
} from '../support/start-gateway.ts';
import { bearer, secrets, withKeys } from '../support/test-keys.ts';

const oneSlot = { engineInfo: { slotCount: 1 } };

/** Requests wait for their end until the gate opens. */
function hold({ engine }: TestGateway) {
  const end = gate();
  onTestFinished(end.open);
  engine.script.beforeEvent = (index) =>
    index === engine.script.parts.length ? end.opened : undefined;
  return end;
}

function chat({ app }: TestGateway, secret: string, fields: Record<string, unknown> = {}) {
  return app.inject({
    method: 'POST',
    url: '/v1/chat/completions',
    headers: bearer(secret),
    payload: chatBody(fields),
  });
}

async function untilWaiting({ app }: TestGateway, count: number): Promise<void> {
  await expect
    .poll(async () => (await app.inject('/health')).json().queue.waiting, { interval: 5 })
    .toBe(count);
}

describe('the queue', () => {
  test('is not for what needs no slot', async () => {
    const gateway = startGateway(oneSlot);
    const end = hold(gateway);
    const running = postChat(gateway.app);
    await gateway.engine.until(({ requests }) => requests.length === 1);
    const answers = await Promise.all([
      gateway.app.inject('/v1/models'),
      gateway.app.inject('/metrics?format=json'),
      gateway.app.inject('/ping'),
      gateway.app.inject({ method: 'OPTIONS', url: '/v1/chat/completions' }),
    ]);
    expect(answers.map(({ statusCode }) => statusCode)).toEqual([200, 200, 200, 204]);
    end.open();
    expect((await running).statusCode).toBe(200);
  });

  test('one slot and a queue of two take three of four requests', async () => {
    const gateway = startGateway({ ...oneSlot, queue: { waitingCount: 2 } });
    const end = hold(gateway);
    const replies = [0, 1, 2, 3].map(() => postChat(gateway.app));
    await untilWaiting(gateway, 2);
    end.open();
    const statuses = (await Promise.all(replies)).map(({ statusCode }) => statusCode);
    expect(statuses.toSorted()).toEqual([200, 200, 200, 503]);
    const refused = (await Promise.all(replies)).find(({ statusCode }) => statusCode === 503);
    expect(refused?.json()).toEqual({
      error: {
        message: 'Too many requests are waiting.',
        type: 'server_error',
        param: null,
        code: 'queue_full',
      },
    });
    expect(refused?.headers['retry-after']).toBe('5');
    const health = (await gateway.app.inject('/health')).json();
    expect(health.queue).toMatchObject({ max_queue_size: 2, waiting: 0 });
    expect(health.gateway.metrics).toMatchObject({ queue_rejections: 1 });
  });

  test("one key's flood delays another key's request by one turn", async () => {
    const authentication = await withKeys(`alice:${secrets.alice}\nbob:${secrets.bob}`);
    const gateway = startGateway({ ...oneSlot, authentication });
    const end = hold(gateway);
    const order: string[] = [];
    const flood = Array.from({ length: 50 }, () =>
      chat(gateway, secrets.alice).then(() => order.push('alice')),
    );
    await untilWaiting(gateway, 49);
    const single = chat(gateway, secrets.bob).then(() => order.push('bob'));
    await untilWaiting(gateway, 50);
    end.open();
    await Promise.all([...flood, single]);
    expect(order.indexOf('bob')).toBeLessThanOrEqual(1);
  });

  test('a full queue still takes the request of another key, in the place of a flood', async () => {
    const authentication = await withKeys(`alice:${secrets.alice}\nbob:${secrets.bob}`);
    const gateway = startGateway({ ...oneSlot, authentication, queue: { waitingCount: 3 } });
    const end = hold(gateway);
    const flood = [0, 1, 2, 3].map(() => chat(gateway, secrets.alice));
    await untilWaiting(gateway, 3);
    const single = chat(gateway, secrets.bob);
    expect((await Promise.race(flood)).json().error.code).toBe('queue_full');
    end.open();
    expect((await single).statusCode).toBe(200);
    const statuses = (await Promise.all(flood)).map(({ statusCode }) => statusCode);
    expect(statuses.toSorted()).toEqual([200, 200, 200, 503]);
  });

  test('a flex request waits for all others, and its reply says what it was', async () => {
    const gateway = startGateway(oneSlot);
    const end = hold(gateway);
    const order: string[] = [];
    const send = async (name: string, fields: Record<string, unknown> = {}) => {
      const reply = await postChat(gateway.app, fields);
      order.push(name);
      return reply.json();
    };
    const first = send('first');
    await gateway.engine.until(({ requests }) => requests.length === 1);
    const slow = send('flex', { service_tier: 'flex' });
    await untilWaiting(gateway, 1);
    const rest = [send('second', { service_tier: 'auto' }), send('third')];
    await untilWaiting(gateway, 3);
    end.open();
    const [flex, second, third] = await Promise.all([slow, ...rest, first]);
    expect(order).toEqual(['first', 'second', 'third', 'flex']);
    expect(flex.service_tier).toBe('flex');
    expect(second?.service_tier).toBe('default');
    expect(third).not.toHaveProperty('service_tier');
  });

  test('a key may be batch, whatever its requests ask for', async () => {
    const authentication = await withKeys(
      `alice:${secrets.alice} priority=batch\nbob:${secrets.bob}`,
    );
    const gateway = startGateway({ ...oneSlot, authentication });
    const end = hold(gateway);
    const order: string[] = [];
    const first = chat(gateway, secrets.bob).then(() => order.push('bob'));
    await gateway.engine.until(({ requests }) => requests.length === 1);
    const slow = chat(gateway, secrets.alice).then(() => order.push('alice'));
    await untilWaiting(gateway, 1);
    const rest = [0, 1].map(() => chat(gateway, secrets.bob).then(() => order.push('bob')));
    await untilWaiting(gateway, 3);
    end.open();
    await Promise.all([first, slow, ...rest]);
    expect(order).toEqual(['bob', 'bob', 'bob', 'alice']);
  });

  test('a request that waits too long gets an error', async () => {
    const gateway = startGateway({ ...oneSlot, queue: { waitMs: 50 } });
    const end = hold(gateway);
    const first = postChat(gateway.app);
    await gateway.engine.until(({ requests }) => requests.length === 1);
    const late = await postChat(gateway.app);
    expect(late.statusCode).toBe(503);
    expect(late.json().error).toMatchObject({ type: 'server_error', code: 'queue_timeout' });
    expect(late.headers['retry-after']).toBe('5');
    end.open();
    expect((await first).statusCode).toBe(200);
    expect(gateway.engine.requests).toHaveLength(1);
  });

  test('a request whose client leaves waits no longer', async () => {
    const gateway = startGateway({ ...oneSlot, queue: { waitingCount: 1 } });
    const end = hold(gateway);
    const { baseUrl } = await listen(gateway.app);
    const first = postChat(gateway.app);
    await gateway.engine.until(({ requests }) => requests.length === 1);
    const controller = new AbortController();
    const gone = fetch(`${baseUrl}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(chatBody()),
      signal: controller.signal,
    });
    await untilWaiting(gateway, 1);
    controller.abort();
    await expect(gone).rejects.toThrow();
    await untilWaiting(gateway, 0);
    const next = postChat(gateway.app);
    await untilWaiting(gateway, 1);
    end.open();
    expect([(await first).statusCode, (await next).statusCode]).toEqual([200, 200]);
    expect(gateway.engine.requests).toHaveLength(2);
  });

  test('a request that never fits is refused at once, not after its turn', async () => {
    const gateway = startGateway(oneSlot);
    hold(gateway);
    void postChat(gateway.app);
    await gateway.engine.until(({ requests }) => requests.length === 1);
    const messages = [{ role: 'user', content: 'word '.repeat(3000) }];
    const reply = await postChat(gateway.app, { messages });
    expect(reply.statusCode).toBe(400);
    expect(reply.json().error.code).toBe('context_length_exceeded');
  });

  test('the time a request may take begins with its turn', async () => {
    const gateway = startGateway({ ...oneSlot, generationTimeoutMs: 150 });
    const end = hold(gateway);
    const first = postChat(gateway.app);
    await gateway.engine.until(({ requests }) => requests.length === 1);
    const second = postChat(gateway.app);
    const late = await first;
    expect(late.statusCode).toBe(504);
    await gateway.engine.until(({ requests }) => requests.length === 2);
    end.open();
    expect((await second).statusCode).toBe(200);
  });

  test('requests of a key that had to leave the queue count for nothing', async () => {
    const authentication = await withKeys(`alice:${secrets.alice} tokens_per_minute=1000`);
    const gateway = startGateway({
      ...oneSlot,
      authentication,
      limitStore: new MemoryStore(),
      queue: { waitMs: 50 },
    });
    const end = hold(gateway);
    const first = chat(gateway, secrets.alice);
    await gateway.engine.until(({ requests }) => requests.length === 1);
    expect((await chat(gateway, secrets.alice)).statusCode).toBe(503);
    end.open();
    await first;
    const { headers } = await chat(gateway, secrets.alice);
    // Three words and two tokens of each of the two that were answered; the last one's are set aside.
    expect(Number(headers['x-ratelimit-remaining-tokens'])).toBeGreaterThanOrEqual(
      1000 - 5 - 3 - 256,
    );
  });

  test('a draining server serves waiting requests and refuses new ones', async () => {
    const gateway = startGateway(oneSlot);
    const end = hold(gateway);
    const replies = [0, 1, 2].map(() => postChat(gateway.app));
    await untilWaiting(gateway, 2);
    const drained = gateway.drain.finish(5000);
    expect((await postChat(gateway.app)).json().error.code).toBe('shutting_down');
    end.open();
    expect(await drained).toBe(0);
    const statuses = (await Promise.all(replies)).map(({ statusCode }) => statusCode);
    expect(statuses).toEqual([200, 200, 200]);
  });

  test('requests that still wait when the drain is over get an error', async () => {
    const gateway = startGateway(oneSlot);
    hold(gateway);
    const replies = [0, 1].map(() => postChat(gateway.app));
    await untilWaiting(gateway, 1);
    expect(await gateway.drain.finish(0)).toBe(2);
    for (const reply of await Promise.all(replies)) {
      expect(reply.statusCode).toBe(503);
      expect(reply.json().error.code).toBe('shutting_down');
    }
    expect(gateway.engine.requests).toHaveLength(1);
  });

  test('waiting shows in metrics, and in how long a request waited', async () => {
    const gateway = startGateway(oneSlot);
    const end = hold(gateway);
    const replies = [0, 1, 2].map(() => postChat(gateway.app));
    await untilWaiting(gateway, 2);
    const scrape = await gateway.app.inject('/metrics?format=prometheus');
    expect(scrape.body).toMatch(/^vllm:num_requests_waiting\{.*\} 2$/m);
    expect(scrape.body).toMatch(/^gateway_queue_depth 2$/m);
    await new Promise((resolve) => setTimeout(resolve, 30));
    end.open();
    await Promise.all(replies);
    expect(gateway.metrics.counts.queueWaitSecondsTotal).toBeGreaterThan(0.05);
  });

  test('embeddings have a queue of their own', async () => {
    const gateway = startGateway(oneSlot);
    const end = hold(gateway);
    const first = postChat(gateway.app);
    await gateway.engine.until(({ requests }) => requests.length === 1);
    const reply = await gateway.app.inject({
      method: 'POST',
      url: '/v1/embeddings',
      payload: { input: 'red' },
    });
    expect(reply.statusCode).toBe(200);
    end.open();
    await first;
  });
});
