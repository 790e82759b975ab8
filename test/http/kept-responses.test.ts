import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { MemoryStore } from '../../src/access/limits/memory-store.ts';
import { ResponseStore } from '../../src/api/responses/response-store.ts';
import { GatewayError } from '../../src/core/errors.ts';
import { gate } from '../support/fake-engine.ts';
import { parseNamedSse } from '../support/read-sse.ts';
import { card, listen, startGateway } from '../support/start-gateway.ts';
import { bearer, secrets, withKeys } from '../support/test-keys.ts';

const url = '/v1/responses';

async function startKeeping({
  folder = mkdtempSync(join(tmpdir(), 'responses-')),
  ofAlice = '',
} = {}) {
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const limits = { maxBytes: 1_000_000, maxAgeMs: 86_400_000 };
  const store = await ResponseStore.open(folder, limits);
  const gateway = startGateway({
    authentication: await withKeys(`alice:${secrets.alice}${ofAlice}\nbob:${secrets.bob}`),
    limitStore: new MemoryStore(),
    responseStore: store,
  });
  const { app } = gateway;
  const post = (fields: object, headers = bearer(secrets.alice)) =>
    app.inject({ method: 'POST', url, payload: { model: card.id, ...fields }, headers });
  const ask = (method: 'GET' | 'DELETE', path: string, headers = bearer(secrets.alice)) =>
    app.inject({ method, url: `${url}/${path}`, headers });
  return { ...gateway, folder, store, post, ask };
}

describe('a kept response', () => {
  test('is what was answered, whole and as a stream', async () => {
    const { post, ask } = await startKeeping();
    const whole = (await post({ input: 'Hi' })).json();
    expect(whole.store).toBe(true);
    expect((await ask('GET', whole.id)).json()).toEqual(whole);

    const events = parseNamedSse((await post({ input: 'Hi', stream: true })).body);
    const response = events.at(-1)?.json.response as { readonly id: string };
    expect((await ask('GET', response.id)).json()).toEqual(response);
  });

  test('goes on, with all items before it, also after a restart', async () => {
    const first = await startKeeping();
    const one = (await first.post({ input: 'one', instructions: 'Be brief.' })).json();
    const { engine, post } = await startKeeping({ folder: first.folder });
    const two = (await post({ input: 'two', previous_response_id: one.id })).json();
    expect(two.previous_response_id).toBe(one.id);
    await post({ input: 'three', previous_response_id: two.id, instructions: 'Be long.' });
    // Instructions are those of the request alone.
    expect(engine.preparedChats).toEqual([
      [
        { role: 'user', content: 'one' },
        { role: 'assistant', content: 'Hello world' },
        { role: 'user', content: 'two' },
      ],
      [
        { role: 'system', content: 'Be long.' },
        { role: 'user', content: 'one' },
        { role: 'assistant', content: 'Hello world' },
        { role: 'user', content: 'two' },
        { role: 'assistant', content: 'Hello world' },
        { role: 'user', content: 'three' },
      ],
    ]);
  });

  test('is there for its key alone', async () => {
    const { post, ask } = await startKeeping();
    const { id } = (await post({ input: 'Hi' })).json();
    const other = bearer(secrets.bob);
    for (const reply of [
      await ask('GET', id, other),
      await ask('GET', `${id}/input_items`, other),
      await ask('DELETE', id, other),
      await ask('GET', 'resp_x'),
    ]) {
      expect(reply.statusCode).toBe(404);
      expect(reply.json().error.code).toBe('response_not_found');
    }
    const next = await post({ input: 'Hi', previous_response_id: id }, other);
    expect(next.statusCode).toBe(404);
    expect(next.json().error).toMatchObject({
      ...{ code: 'previous_response_not_found', param: 'previous_response_id' },
      message: `Previous response with id "${id}" not found.`,
    });
  });

  test('lists its items in pages', async () => {
    const { post, ask } = await startKeeping();
    const input = ['a', 'b', 'c'].map((content) => ({ role: 'user', content }));
    const { id } = (await post({ input })).json();
    const texts = (list: { data: { content: { text: string }[] }[] }) =>
      list.data.map(({ content }) => content[0]?.text);
    const page = (await ask('GET', `${id}/input_items?limit=2`)).json();
    expect(texts(page)).toEqual(['c', 'b']);
    expect(page).toMatchObject({ object: 'list', has_more: true, last_id: page.data[1].id });
    expect(page.data[0]).toMatchObject({ type: 'message', role: 'user' });
    const rest = (await ask('GET', `${id}/input_items?after=${page.last_id}`)).json();
    expect(texts(rest)).toEqual(['a']);
    expect(rest.has_more).toBe(false);
    expect(texts((await ask('GET', `${id}/input_items?order=asc`)).json())).toEqual([
      ...['a', 'b', 'c'],
    ]);
    for (const query of ['limit=0', 'limit=x', 'order=up']) {
      expect((await ask('GET', `${id}/input_items?${query}`)).statusCode).toBe(400);
    }
  });

  test('has items that later requests name by their ids', async () => {
    const { post, ask, engine } = await startKeeping();
    const one = (await post({ input: 'one' })).json();
    const [asked] = (await ask('GET', `${one.id}/input_items`)).json().data;
    const reference = (id: string) => ({ type: 'item_reference', id });
    const input = [reference(asked.id), { id: one.output[0].id }, { role: 'user', content: 'two' }];
    const two = (await post({ input })).json();
    // What is kept are the items, so that the conversation goes on without those responses.
    await ask('DELETE', one.id);
    await post({ input: 'three', previous_response_id: two.id });
    expect(engine.preparedChats.slice(1)).toEqual([
      [
        { role: 'user', content: 'one' },
        { role: 'assistant', content: 'Hello world' },
        { role: 'user', content: 'two' },
      ],
      [
        { role: 'user', content: 'one' },
        { role: 'assistant', content: 'Hello world' },
        { role: 'user', content: 'two' },
        { role: 'assistant', content: 'Hello world' },
        { role: 'user', content: 'three' },
      ],
    ]);
    const other = await post({ input: [reference(two.output[0].id)] }, bearer(secrets.bob));
    expect(other.statusCode).toBe(400);
    expect(other.json().error).toMatchObject({
      param: 'input[0]',
      message: expect.stringContaining('this server does not have'),
    });
  });

  test('may be gone on from with nothing new', async () => {
    const { post, engine } = await startKeeping();
    const { id } = (await post({ input: 'one' })).json();
    expect((await post({ previous_response_id: id })).statusCode).toBe(200);
    expect(engine.preparedChats.at(-1)).toHaveLength(2);
  });

  test('stands for as much as a request may have', async () => {
    const { post } = await startKeeping();
    const kept = (await post({ input: [{ role: 'user', content: 'x'.repeat(100_000) }] })).json();
    const reference = { type: 'item_reference', id: kept.output[0].id };
    const many = await post({ input: Array.from({ length: 200 }, () => reference) });
    expect(many.statusCode).toBe(413);
    const tooMany = await post({ input: Array.from({ length: 1001 }, () => reference) });
    expect(tooMany.json().error.message).toContain('at most 1000 references');
  });

  test('goes on with the tools that were added to it', async () => {
    const { post, engine } = await startKeeping();
    const tool = { type: 'function', name: 'look_up', parameters: { type: 'object' } };
    const added = { type: 'additional_tools', role: 'developer', tools: [tool] };
    const { id } = (await post({ input: [{ role: 'user', content: 'Hi' }, added] })).json();
    await post({ input: 'Go on', previous_response_id: id, tools: [{ ...tool, name: 'own' }] });
    expect(engine.chatOptions.map((options) => options?.tools?.map(({ name }) => name))).toEqual([
      ['look_up'],
      ['own', 'look_up'],
    ]);
  });

  test('is answered where the disk is full, and says that it is not kept', async () => {
    const { post, ask, store } = await startKeeping();
    const put = vi.spyOn(store, 'put').mockRejectedValue(new Error('ENOSPC'));
    const whole = (await post({ input: 'Hi' })).json();
    expect(whole).toMatchObject({ status: 'completed', store: false });
    const events = parseNamedSse((await post({ input: 'Hi', stream: true })).body);
    expect(events.at(-1)?.json.response).toMatchObject({ status: 'completed', store: false });
    // Nobody could get the response of a request in the background.
    expect((await post({ input: 'Hi', background: true })).statusCode).toBe(500);
    put.mockRestore();
    expect((await ask('GET', whole.id)).statusCode).toBe(404);
  });

  test('can be deleted', async () => {
    const { post, ask } = await startKeeping();
    const { id } = (await post({ input: 'Hi' })).json();
    expect((await ask('DELETE', id)).json()).toEqual({ id, object: 'response', deleted: true });
    expect((await ask('GET', id)).statusCode).toBe(404);
    expect((await post({ input: 'Hi', previous_response_id: id })).statusCode).toBe(404);
  });
});

test.each(['null', '5', '[]', '"text"', '{"previous_response_id":5}'])(
  'the body %s is refused, not looked up',
  async (payload) => {
    const { app } = await startKeeping();
    const headers = { 'content-type': 'application/json', ...bearer(secrets.alice) };
    const reply = await app.inject({ method: 'POST', url, payload, headers });
    expect(reply.statusCode).toBe(400);
  },
);

test('a response is not kept where the request or the server says so', async () => {
  const { post, ask } = await startKeeping();
  const reply = (await post({ input: 'Hi', store: false })).json();
  expect(reply.store).toBe(false);
  expect((await ask('GET', reply.id)).statusCode).toBe(404);
  const { app } = startGateway();
  const without = await app.inject({
    ...{ method: 'POST', url },
    payload: { model: card.id, input: 'Hi', store: true },
  });
  expect(without.json().store).toBe(false);
  expect((await app.inject(`${url}/${without.json().id}`)).statusCode).toBe(404);
});

describe('a background response', () => {
  test('is queued at once, and there when it has ended', async () => {
    const { post, ask, engine } = await startKeeping();
    const held = gate();
    engine.script.beforeEvent = (index) => (index === 1 ? held.opened : undefined);
    const queued = (await post({ input: 'Hi', background: true })).json();
    expect(queued).toMatchObject({ status: 'queued', background: true, output: [] });
    await engine.until(({ eventCount }) => eventCount === 1);
    await vi.waitFor(async () => {
      expect((await ask('GET', queued.id)).json()).toMatchObject({
        status: 'in_progress',
        output: [{ content: [{ text: 'Hello' }] }],
      });
    });
    expect((await ask('GET', queued.id, bearer(secrets.bob))).statusCode).toBe(404);
    held.open();
    await vi.waitFor(async () => {
      expect((await ask('GET', queued.id)).json()).toMatchObject({
        ...{ id: queued.id, status: 'completed', usage: { output_tokens: 2 } },
        output: [{ content: [{ text: 'Hello world' }] }],
      });
    });
  });

  test('is streamed again from any event, while it runs and later', async () => {
    const { app, post, ask, engine } = await startKeeping();
    const held = gate();
    engine.script.beforeEvent = (index) => (index === 1 ? held.opened : undefined);
    const { baseUrl } = await listen(app);
    const controller = new AbortController();
    const lost = await fetch(`${baseUrl}${url}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...bearer(secrets.alice) },
      body: JSON.stringify({ input: 'Hi', background: true, stream: true }),
      signal: controller.signal,
    });
    const first = await lost.body?.getReader().read();
    const [, id = ''] = /"id":"(resp_\w+)"/.exec(Buffer.from(first?.value ?? []).toString()) ?? [];
    controller.abort();
    await engine.until(({ eventCount }) => eventCount === 1);

    const resumed = ask('GET', `${id}?stream=true&starting_after=1`);
    held.open();
    const events = parseNamedSse((await resumed).body);
    expect(events[0]?.json.sequence_number).toBe(2);
    expect(events.at(-1)?.event).toBe('response.completed');
    const again = parseNamedSse((await ask('GET', `${id}?stream=true&starting_after=1`)).body);
    expect(again).toEqual(events);
    const whole = parseNamedSse((await ask('GET', `${id}?stream=true`)).body);
    expect(whole.map(({ json }) => json.sequence_number)).toEqual([...whole.keys()]);
    expect(whole[0]?.event).toBe('response.created');
    expect((await ask('GET', `${id}?stream=true&starting_after=x`)).statusCode).toBe(400);
    const plain = (await post({ input: 'Hi' })).json();
    expect((await ask('GET', `${plain.id}?stream=true`)).statusCode).toBe(400);
  });

  test('is streamed from the state that it waits in', async () => {
    const { post } = await startKeeping();
    const events = parseNamedSse(
      (await post({ input: 'Hi', background: true, stream: true })).body,
    );
    const states = events.filter(({ json }) => json.response !== undefined);
    const statusOf = ({ json }: (typeof states)[number]) =>
      (json.response as { status: string }).status;
    expect(states.map((each) => [each.event, statusOf(each)])).toEqual([
      ['response.created', 'queued'],
      ['response.queued', 'queued'],
      ['response.in_progress', 'in_progress'],
      ['response.completed', 'completed'],
    ]);
  });

  test('without a stream has none later', async () => {
    const { post, ask, engine } = await startKeeping();
    const held = gate();
    engine.script.beforeEvent = (index) => (index === 1 ? held.opened : undefined);
    const { id } = (await post({ input: 'Hi', background: true })).json();
    expect((await ask('GET', `${id}?stream=true`)).statusCode).toBe(400);
    held.open();
  });

  test('is kept before anybody learns that it has ended', async () => {
    const { post, engine, store } = await startKeeping();
    const isWritten = gate();
    const put = store.put.bind(store);
    vi.spyOn(store, 'put').mockImplementation(async (...args) => {
      if (args[1].response.status === 'completed') await isWritten.opened;
      await put(...args);
    });
    const stream = post({ input: 'one', background: true, stream: true });
    await engine.until(({ endings }) => endings.length === 1);
    let hasEnded = false;
    void stream.then(() => {
      hasEnded = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(hasEnded).toBe(false);
    isWritten.open();
    const last = parseNamedSse((await stream).body).at(-1)?.json.response as {
      readonly id: string;
    };
    await post({ input: 'two', previous_response_id: last.id });
    expect(engine.preparedChats.at(-1)).toEqual([
      { role: 'user', content: 'one' },
      { role: 'assistant', content: 'Hello world' },
      { role: 'user', content: 'two' },
    ]);
  });

  test('that runs is nothing to go on from', async () => {
    const { post, engine } = await startKeeping();
    const held = gate();
    engine.script.beforeEvent = (index) => (index === 1 ? held.opened : undefined);
    const { id } = (await post({ input: 'Hi', background: true })).json();
    const reply = await post({ input: 'And?', previous_response_id: id });
    expect(reply.statusCode).toBe(400);
    expect(reply.json().error).toMatchObject({ param: 'previous_response_id' });
    held.open();
  });

  test('whose end cannot be kept is gone, and says so', async () => {
    const { post, ask, store } = await startKeeping();
    const put = store.put.bind(store);
    vi.spyOn(store, 'put').mockImplementation((...args) =>
      args[1].response.status === 'completed' ? Promise.reject(new Error('ENOSPC')) : put(...args),
    );
    const { body } = await post({ input: 'Hi', background: true, stream: true });
    const response = parseNamedSse(body).at(-1)?.json.response as { readonly id: string };
    expect(response).toMatchObject({ status: 'completed', store: false });
    expect((await ask('GET', response.id)).statusCode).toBe(404);
  });

  test('that is cancelled within an item says that it is incomplete', async () => {
    const { app, post, engine } = await startKeeping();
    engine.script.beforeEvent = (index) => (index === 1 ? new Promise(() => {}) : undefined);
    const { id } = (await post({ input: 'Hi', background: true })).json();
    await engine.until(({ eventCount }) => eventCount === 1);
    const reply = await app.inject({
      ...{ method: 'POST', url: `${url}/${id}/cancel`, headers: bearer(secrets.alice) },
    });
    expect(reply.json().output).toMatchObject([{ type: 'message', status: 'incomplete' }]);
  });

  test('can be cancelled, and its slot is free', async () => {
    const { app, post, ask, engine } = await startKeeping();
    engine.script.beforeEvent = (index) => (index === 1 ? new Promise(() => {}) : undefined);
    const { id } = (await post({ input: 'Hi', background: true })).json();
    await engine.until(({ eventCount }) => eventCount === 1);
    const cancel = (which: string) =>
      app.inject({
        ...{ method: 'POST', url: `${url}/${which}/cancel`, headers: bearer(secrets.alice) },
      });
    expect((await cancel(id)).json()).toMatchObject({ id, status: 'cancelled' });
    expect(engine.endings).toEqual(['cancelled']);
    expect((await ask('GET', id)).json().status).toBe('cancelled');
    expect((await cancel(id)).json().status).toBe('cancelled');
    engine.script.beforeEvent = () => undefined;
    const plain = (await post({ input: 'Hi' })).json();
    expect((await cancel(plain.id)).statusCode).toBe(400);
  });

  test('takes one of the concurrent requests of its key until it has ended', async () => {
    const { post, ask, engine } = await startKeeping({ ofAlice: ' concurrent_requests=1' });
    const held = gate();
    engine.script.beforeEvent = (index) => (index === 1 ? held.opened : undefined);
    const { id } = (await post({ input: 'Hi', background: true })).json();
    expect((await post({ input: 'Hi' })).statusCode).toBe(429);
    // What computes nothing needs no place.
    expect((await ask('GET', id)).statusCode).toBe(200);
    held.open();
    await vi.waitFor(async () => expect((await post({ input: 'Hi' })).statusCode).toBe(200));
  });

  test('is kept before the server closes', async () => {
    const { app, folder, post, engine } = await startKeeping();
    const held = gate();
    engine.script.beforeEvent = (index) => (index === 1 ? held.opened : undefined);
    const { id } = (await post({ input: 'Hi', background: true })).json();
    await engine.until(({ eventCount }) => eventCount === 1);
    const closed = app.close();
    held.open();
    await closed;
    const { ask } = await startKeeping({ folder });
    expect((await ask('GET', id)).json().status).toBe('completed');
  });

  test('that is deleted while it runs stays deleted', async () => {
    const { post, ask, engine } = await startKeeping();
    engine.script.beforeEvent = (index) => (index === 1 ? new Promise(() => {}) : undefined);
    const { id } = (await post({ input: 'Hi', background: true })).json();
    await engine.until(({ eventCount }) => eventCount === 1);
    expect((await ask('DELETE', id)).json()).toMatchObject({ id, deleted: true });
    expect(engine.endings).toEqual(['cancelled']);
    expect((await ask('GET', id)).statusCode).toBe(404);
  });

  test('that fails says so, and so does one whose process ended', async () => {
    const { folder, post, ask, engine } = await startKeeping();
    engine.script.failure = { at: 1, error: new GatewayError('engine_failed') };
    const { id } = (await post({ input: 'Hi', background: true })).json();
    await vi.waitFor(async () => {
      expect((await ask('GET', id)).json()).toMatchObject({
        status: 'failed',
        error: { code: 'server_error', message: 'The inference engine failed.' },
      });
    });
    delete engine.script.failure;
    const held = gate();
    engine.script.beforeEvent = () => held.opened;
    const cut = (await post({ input: 'Hi', background: true })).json();
    await engine.until(({ requests }) => requests.length === 2);
    const next = await startKeeping({ folder });
    expect((await next.ask('GET', cut.id)).json()).toMatchObject({
      status: 'failed',
      error: { message: 'The server was stopped before the response was complete.' },
    });
    held.open();
  });

  test('is refused where nothing keeps it', async () => {
    const { post } = await startKeeping();
    const reply = await post({ input: 'Hi', background: true, store: false });
    expect(reply.json().error).toMatchObject({ param: 'background' });
  });
});
