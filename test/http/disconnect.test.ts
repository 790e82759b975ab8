import { once } from 'node:events';
import { Agent, type ClientRequest, type IncomingMessage, request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { gate } from '../support/fake-engine.ts';
import { chatBody, listen, startGateway, type TestGateway } from '../support/start-gateway.ts';

/** Never resolves: only the abort of the request ends the wait. */
const forever = new Promise<void>(() => {});

describe.each([{ stream: true }, { stream: false }])(
  'a client that leaves, with %j',
  ({ stream }) => {
    test('before the first token frees its slot', async () => {
      const gateway = startGateway();
      const { engine } = gateway;
      engine.script.beforeEvent = () => forever;
      const client = await send(gateway, { stream });
      await engine.until(() => engine.stats().runningCount === 1);

      client.destroy();

      await engine.until(({ endings }) => endings.length === 1);
      await expectAllClear(gateway);
    });

    test('while its completion runs frees its slot', async () => {
      const gateway = startGateway();
      const { engine } = gateway;
      engine.script.beforeEvent = (index) => (index === 1 ? forever : undefined);
      const client = await send(gateway, { stream });
      await engine.until(({ eventCount }) => eventCount === 1);

      client.destroy();

      await engine.until(({ endings }) => endings.length === 1);
      await expectAllClear(gateway);
    });

    test('while its prompt is prepared never reaches a slot', async () => {
      const gateway = startGateway();
      const { app, engine } = gateway;
      const prepared = gate();
      engine.script.prepare = () => prepared.opened;
      const client = await send(gateway, { stream });
      await engine.until(({ preparedChats }) => preparedChats.length === 1);
      const gone = new Promise((resolve) => app.server.once('connection-gone', resolve));

      client.destroy();
      await gone;
      prepared.open();

      await expectAllClear(gateway, []);
      expect(engine.requests).toEqual([]);
    });
  },
);

describe('a client that leaves', () => {
  test('with unread frames frees its slot', async () => {
    const gateway = startGateway();
    const { engine } = gateway;
    engine.script.parts = Array(5000).fill('x'.repeat(10_000));
    const client = await send(gateway, { stream: true });
    const [reply] = (await once(client, 'response')) as [IncomingMessage];
    reply.pause();
    await engine.until(({ eventCount }) => eventCount > 100);

    client.destroy();

    await engine.until(({ endings }) => endings.length === 1);
    expect(engine.eventCount).toBeLessThan(5000);
    await expectAllClear(gateway);
  });

  test('with requests in its pipeline frees the slots of all', async () => {
    const gateway = startGateway();
    const { app, engine } = gateway;
    engine.script.beforeEvent = () => forever;
    const { port } = await listen(app);
    const socket = connect(port, '127.0.0.1');
    const body = JSON.stringify(chatBody());
    const one =
      'POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n' +
      `Content-Length: ${body.length}\r\n\r\n${body}`;
    socket.write(one + one + one);
    await engine.until(() => engine.stats().runningCount === 3);

    socket.destroy();

    await engine.until(({ endings }) => endings.length === 3);
    await expectAllClear(gateway, ['cancelled', 'cancelled', 'cancelled']);
  });

  test('is one info line and no error', async () => {
    const gateway = startGateway();
    const { engine, logLines } = gateway;
    engine.script.beforeEvent = (index) => (index === 1 ? forever : undefined);
    const client = await send(gateway, { stream: true });
    await once(client, 'response');
    client.destroy();
    await engine.until(({ endings }) => endings.length === 1);
    await expectAllClear(gateway);
    expect(logLines.filter(({ msg }) => msg === 'client left')).toHaveLength(1);
    expect(logLines.filter(({ level }) => Number(level) > 30)).toEqual([]);
  });
});

describe('a client that stays', () => {
  test('and sends its next requests on the same connection is not taken for gone', async () => {
    const { app, engine } = startGateway();
    const { port } = await listen(app);
    const sockets = new Set<Socket>();
    const listenerCounts: number[] = [];
    app.server.on('request', ({ socket }: IncomingMessage) => {
      sockets.add(socket);
      listenerCounts.push(socket.listenerCount('close'));
    });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    onTestFinished(() => agent.destroy());

    for (let index = 0; index < 20; index++) {
      const client = post(port, { stream: index % 2 === 0 }, agent);
      const [reply] = (await once(client, 'response')) as [IncomingMessage];
      reply.resume();
      await once(reply, 'end');
      expect(reply.statusCode).toBe(200);
    }

    expect(engine.endings).toEqual(Array(20).fill('stop'));
    expect(sockets.size).toBe(1);
    expect(new Set(listenerCounts).size).toBe(1);
  });
});

function post(port: number, fields: object, agent?: Agent): ClientRequest {
  const client = request({
    port,
    host: '127.0.0.1',
    path: '/v1/chat/completions',
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    ...(agent !== undefined && { agent }),
  });
  client.on('error', () => {});
  client.end(JSON.stringify(chatBody({ ...fields })));
  return client;
}

async function send({ app }: TestGateway, fields: object): Promise<ClientRequest> {
  app.server.on('connection', (socket) => {
    socket.once('close', () => app.server.emit('connection-gone'));
  });
  const { port } = await listen(app);
  return post(port, fields);
}

/** Nothing runs any more, in the engine or for the drain. */
async function expectAllClear({ engine, drain }: TestGateway, endings = ['cancelled']) {
  expect(await drain.finish(2000)).toBe(0);
  expect(engine.endings).toEqual(endings);
  expect(engine.stats().runningCount).toBe(0);
}
