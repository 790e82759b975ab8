import { OpenAI } from 'openai';
import { beforeAll, describe, expect, test } from 'vitest';
import { isLong } from '../support/long.ts';
import {
  RunningStream,
  startLoadingServer,
  startServer,
  type TestServer,
  tinyModelFile,
} from '../support/start-server.ts';

const streamCount = 8;
const contextLength = 32_768;
const roundCount = isLong ? 10 : 3;

let modelPath: string;

beforeAll(() => {
  modelPath = tinyModelFile({ contextLength, layerCount: 1 });
});

function serve(drainTimeoutSeconds: number, slotCount = streamCount): Promise<TestServer> {
  return startServer({
    modelPath,
    flags: [
      ...['--parallel', String(slotCount), '--ctx', String(contextLength)],
      ...['--drain-timeout', String(drainTimeoutSeconds)],
    ],
  });
}

/** Starts the streams and waits until text of each has arrived. */
async function startStreams(
  server: TestServer,
  maxTokens: number,
  count = streamCount,
): Promise<RunningStream[]> {
  const streams = await Promise.all(
    Array.from({ length: count }, async (_, index) => {
      const messages = [{ role: 'user', content: `stream ${index}` }];
      const body = { messages, stream: true, ignore_eos: true, max_tokens: maxTokens };
      return new RunningStream(await server.chat(body));
    }),
  );
  await Promise.all(streams.map((stream) => stream.started));
  return streams;
}

/** Until the process has taken notice of its signal. */
async function stopping(server: TestServer, signal: NodeJS.Signals): Promise<void> {
  server.child.kill(signal);
  await server.line('stopping');
}

describe('a signal to stop, with 8 streams running', () => {
  test('lets those that fit the time come to their end, and refuses new ones', async () => {
    const server = await serve(120, streamCount + 1);
    // The long one runs while the answers below are asked for, however slow the machine is.
    const [long] = await startStreams(server, 8000, 1);
    const streams = await startStreams(server, 1500);
    await stopping(server, 'SIGTERM');

    const [ready, health, refused] = await Promise.all([
      fetch(`${server.healthUrl}/ready`),
      server.health(),
      server.chat({}),
    ]);
    expect(long?.isDone).toBe(false);
    expect(ready.status).toBe(503);
    expect(health.gateway.status).toBe('draining');
    expect(refused.status).toBe(503);
    expect(refused.headers.get('retry-after')).toMatch(/^\d+$/);
    expect(await refused.json()).toMatchObject({ error: { code: 'shutting_down' } });

    const all = [...streams, ...(long ? [long] : [])];
    await Promise.all(all.map((stream) => stream.ended));
    for (const { finishReason, isDone, frames } of all) {
      expect({ finishReason, isDone }).toEqual({ finishReason: 'length', isDone: true });
      expect(frames.at(-1)).toBe('done');
    }
    expect(await server.exited).toEqual({ code: 0, signal: null });
    expect(server.hasLogged('stopped')).toBe(true);
  });

  test('lets those that wait for a slot run and end, too', async () => {
    const server = await serve(60);
    const streams = await startStreams(server, 1500);
    const queued = Array.from({ length: streamCount }, (_, index) =>
      server.chat({ messages: [{ role: 'user', content: `later ${index}` }], max_tokens: 5 }),
    );
    await server.untilQueue({ waiting: streamCount });
    await stopping(server, 'SIGTERM');
    const replies = await Promise.all(queued);
    expect(replies.map(({ status }) => status)).toEqual(Array(streamCount).fill(200));
    await Promise.all(streams.map((stream) => stream.ended));
    expect(streams.every(({ isDone }) => isDone)).toBe(true);
    expect(await server.exited).toEqual({ code: 0, signal: null });
  });

  test('ends endless ones at the deadline with an error frame and no [DONE]', async () => {
    const server = await serve(1);
    const streams = await startStreams(server, contextLength - 100);
    await stopping(server, 'SIGTERM');
    await Promise.all(streams.map((stream) => stream.ended));
    for (const { finishReason, isDone, frames } of streams) {
      expect({ finishReason, isDone }).toEqual({ finishReason: undefined, isDone: false });
      expect(frames.at(-1)).toMatchObject({ json: { error: { code: 'shutting_down' } } });
    }
    expect(await server.exited).toEqual({ code: 0, signal: null });
    expect(await server.line('running requests were aborted')).toMatchObject({
      abortedCount: streamCount,
    });
  });

  test('ends the plain replies beside them with 503, which the client throws', async () => {
    const server = await serve(0);
    const reply = server.client.chat.completions.create({
      model: '',
      messages: [{ role: 'user', content: 'endless' }],
      max_tokens: contextLength - 100,
      ...{ ignore_eos: true },
    });
    const failure = reply.catch((error: unknown) => error);
    await server.untilQueue({ active: 1 });
    await stopping(server, 'SIGINT');
    const error = await failure;
    expect(error).toBeInstanceOf(OpenAI.InternalServerError);
    expect(error).toMatchObject({ status: 503, code: 'shutting_down' });
    expect(await server.exited).toEqual({ code: 0, signal: null });
  });
});

describe('a second signal', () => {
  test.each([
    ['SIGTERM', 143],
    ['SIGINT', 130],
  ] as const)(
    '%s ends the process at once with exit code %i, whatever is decoded',
    async (signal, code) => {
      // A process that ends while threads of llama.cpp compute may crash, but not every time.
      for (let round = 0; round < roundCount; round++) {
        const server = await serve(30);
        const streams = await startStreams(server, contextLength - 100);
        await stopping(server, signal);
        server.child.kill(signal);
        expect(await server.exited).toEqual({ code, signal: null });
        await Promise.allSettled(streams.map((stream) => stream.ended));
        expect(streams.some(({ isDone }) => isDone)).toBe(false);
      }
    },
  );
});

describe('a signal to stop, while the model is loading', () => {
  test.each(['SIGTERM', 'SIGINT'] as const)(
    '%s ends the process with exit code 0',
    async (signal) => {
      const { server, finishLoading } = await startLoadingServer({ modelPath });
      await stopping(server, signal);
      finishLoading();
      expect(await server.exited).toEqual({ code: 0, signal: null });
      expect(server.hasLogged('ready')).toBe(false);
      expect(server.hasLogged('stopped')).toBe(true);
    },
  );
});

test('an idle server stops at once, connections that clients keep open notwithstanding', async () => {
  const drainSeconds = 30;
  const server = await serve(drainSeconds);
  await server.client.models.list();
  const before = performance.now();
  await stopping(server, 'SIGTERM');
  expect(await server.exited).toEqual({ code: 0, signal: null });
  // It does not wait for the time limit of a drain.
  expect(performance.now() - before).toBeLessThan(drainSeconds * 1000);
});
