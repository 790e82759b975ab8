import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import {
  RunningStream,
  startSharedServer,
  type TestServer,
  tinyModelFile,
} from '../support/start-server.ts';

const contextLength = 32_768;
/** More than a test takes to generate. */
const endless = { ignore_eos: true, max_tokens: contextLength - 1000 };

let server: TestServer;

beforeAll(async () => {
  server = await startSharedServer({
    modelPath: tinyModelFile({ contextLength }),
    // Small steps, so that a long prompt is read in many.
    flags: ['--parallel', '2', '--ctx', String(contextLength), '--ubatch-size', '64'],
  });
});

const controllers: AbortController[] = [];

afterEach(async () => {
  for (const controller of controllers.splice(0)) controller.abort();
  await server.untilQueue({ active: 0, waiting: 0 });
});

let requestCount = 0;

/** A client that may leave. */
function connect(fields: object) {
  const controller = new AbortController();
  controllers.push(controller);
  requestCount += 1;
  const requestId = `leaving-${requestCount}`;
  const response = server.chat(fields, { signal: controller.signal, requestId });
  const gone = response.then(
    (reply) =>
      reply.text().then(
        () => 'answered',
        () => 'gone',
      ),
    () => 'gone',
  );
  return {
    response,
    /** Breaks the connection off and waits until the server has noticed. */
    leave: async () => {
      controller.abort();
      return server.line('request completed', { requestId, status: 499 });
    },
    gone,
    end: () => server.line('request completed', { requestId }),
  };
}

describe('a client that leaves', () => {
  test('in the middle of its stream frees its slot', async () => {
    const controller = new AbortController();
    const reply = await server.chat(
      { ...endless, stream: true },
      { signal: controller.signal, requestId: 'stream' },
    );
    const stream = new RunningStream(reply);
    await stream.started;
    expect((await server.health()).queue.active).toBe(1);
    controller.abort();
    await server.untilQueue({ active: 0 });
    const end = await server.line('request completed', { requestId: 'stream' });
    expect(end).toMatchObject({ finishReason: 'cancelled' });
    expect(end.completionTokenCount).toBeLessThan(endless.max_tokens);
    await expect(stream.ended).rejects.toThrow('abort');
  });

  test('while its plain reply is generated frees its slot', async () => {
    const client = connect(endless);
    await server.untilQueue({ active: 1 });
    await client.leave();
    await server.untilQueue({ active: 0 });
    expect(await client.gone).toBe('gone');
    expect(await client.end()).toMatchObject({ finishReason: 'cancelled' });
  });

  test.each([true, false])(
    'while it waits for a slot leaves the queue, with stream %s',
    async (stream) => {
      const neighbours = [connect(endless), connect(endless)];
      await server.untilQueue({ active: 2 });
      const client = connect({ ...endless, stream });
      await server.untilQueue({ active: 2, waiting: 1 });
      await client.leave();
      await server.untilQueue({ active: 2, waiting: 0 });
      const end = await client.end();
      expect(end).toMatchObject({ status: 499, completionTokenCount: 0 });
      // The engine never heard of it.
      expect(end).not.toHaveProperty('finishReason');
      expect(end).not.toHaveProperty('firstTokenMs');
      await Promise.all(neighbours.map(({ leave }) => leave()));
      await server.untilQueue({ active: 0, waiting: 0 });
    },
  );

  test.each([true, false])(
    'while its prompt is prefilled frees its slot, with stream %s',
    async (stream) => {
      const neighbour = connect(endless);
      await server.untilQueue({ active: 1 });
      const messages = [{ role: 'user', content: 'long '.repeat(14_000) }];
      const client = connect({ messages, stream, max_tokens: 5 });
      await server.untilQueue({ active: 2 });
      await client.leave();
      await server.untilQueue({ active: 1, waiting: 0 });
      expect(await client.end()).toMatchObject({
        finishReason: 'cancelled',
        completionTokenCount: 0,
      });
      expect(await client.gone).toBe('gone');
      await neighbour.leave();
      await server.untilQueue({ active: 0 });
    },
  );

  test('in a crowd of others takes nobody with it', async () => {
    const leaving = Array.from({ length: 20 }, () => connect({ ...endless, stream: true }));
    const staying = Array.from({ length: 10 }, () => server.chat({ max_tokens: 5 }));
    await server.untilQueue({ active: 2 });
    await Promise.all(leaving.map(({ leave }) => leave()));
    const replies = await Promise.all(staying);
    expect(replies.map(({ status }) => status)).toEqual(replies.map(() => 200));
    await Promise.all(replies.map((reply) => reply.text()));
    await server.untilQueue({ active: 0, waiting: 0 });
  });
});
