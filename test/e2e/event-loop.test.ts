import { availableParallelism } from 'node:os';
import { describe, expect, test } from 'vitest';
import type { ModelShape } from '../../tools/fixtures/tiny-model.ts';
import { isLong } from '../support/long.ts';
import {
  type EventLoopDelay,
  RunningStream,
  startServer,
  type TestServer,
  tinyModelFile,
} from '../support/start-server.ts';

/** The whole prompt takes a minute or more to compute, whatever the model. */
const acceptedTokenCount = isLong ? 100_000 : 10_000;
const streamCount = 4;
/**
 * The event loop may be held up by a prompt for this share of the time that its answer takes: work on the loop's thread
 * would hold it up for nearly all of it. Both grow with the load of the machine; milliseconds are for the reader.
 */
const delayShareLimit = 0.5;

/** As little arithmetic as a model can need: a prompt of 100k tokens is about attention alone. */
const smallest: Partial<ModelShape> = {
  layerCount: 1,
  width: 32,
  headCount: 1,
  kvHeadCount: 1,
  feedForwardWidth: 32,
};

/** A text of so many tokens. */
const words = (tokenCount: number) => ' the'.repeat(tokenCount);

function serve(contextLength: number): Promise<TestServer> {
  return startServer({
    modelPath: tinyModelFile({ ...smallest, contextLength }),
    probe: true,
    flags: [
      ...['--parallel', String(streamCount + 1), '--ctx', String(contextLength)],
      ...['--threads', String(availableParallelism())],
    ],
  });
}

/** Streams that run, one after the other in each of four places, until the signal aborts. */
async function keepStreaming(server: TestServer, signal: AbortSignal): Promise<void> {
  const place = async (index: number, onStart: () => void): Promise<void> => {
    while (!signal.aborted) {
      const messages = [{ role: 'user', content: `stream ${index}` }];
      const body = { messages, stream: true, ignore_eos: true, max_tokens: 1900 };
      const stream = new RunningStream(await server.chat(body, { signal }));
      void stream.started.then(onStart);
      await stream.ended;
    }
  };
  await Promise.all(
    Array.from({ length: streamCount }, (_, index) => {
      return new Promise<void>((resolve, reject) => {
        place(index, resolve).catch((error: unknown) => {
          if (!signal.aborted) reject(error);
        });
      });
    }),
  );
}

/** Sends the prompt, and again, and watches the server's event loop from the first to the last answer. */
async function delayDuring(server: TestServer, what: string, tokenCount: number, rounds: number) {
  const messages = [{ role: 'user', content: words(tokenCount) }];
  const replies: { readonly status: number; readonly text: string }[] = [];
  await server.ask('reset-delay');
  const before = performance.now();
  for (let round = 0; round < rounds; round++) {
    const reply = await server.chat({ messages, max_tokens: 2 });
    replies.push({ status: reply.status, text: await reply.text() });
  }
  const elapsedMs = (performance.now() - before) / rounds;
  const delay = await server.ask('delay');
  const { p50Ms, p99Ms, maxMs, count } = delay;
  const ms = (value: number) => `${value.toFixed(1)} ms`;
  console.log(
    `event-loop delay, ${tokenCount} tokens ${what}: p50 ${ms(p50Ms)}, p99 ${ms(p99Ms)}, ` +
      `max ${ms(maxMs)} (${count} samples); answered in ${ms(elapsedMs)}`,
  );
  return { replies, delay, elapsedMs };
}

describe('with 4 streams running, the event loop is hardly held up by a prompt', () => {
  test('of 100k tokens that is refused, for a context of 2048', async () => {
    const server = await serve(2048);
    const streaming = new AbortController();
    await keepStreaming(server, streaming.signal);
    // A refusal is quick: one alone has too few samples for a percentile.
    const { replies, delay, elapsedMs } = await delayDuring(server, 'refused', 100_000, 5);
    streaming.abort();
    for (const { status, text } of replies) {
      expect(status).toBe(400);
      expect(text).toMatch(/context length is 2048 tokens.*resulted in 10\d{4} tokens/);
    }
    expectPunctual(delay, elapsedMs);
  });

  test(`of ${acceptedTokenCount} tokens that is accepted, for a context of 131,072`, async () => {
    const server = await serve(131_072);
    const streaming = new AbortController();
    await keepStreaming(server, streaming.signal);
    const { replies, delay, elapsedMs } = await delayDuring(
      server,
      'accepted',
      acceptedTokenCount,
      1,
    );
    streaming.abort();
    for (const { status, text } of replies) {
      expect(status).toBe(200);
      expect(JSON.parse(text).usage.prompt_tokens).toBeGreaterThanOrEqual(acceptedTokenCount);
    }
    expectPunctual(delay, elapsedMs);
  }, 300_000);
});

function expectPunctual({ count, p99Ms }: EventLoopDelay, elapsedMs: number): void {
  // Without samples there would be nothing to be late.
  expect(count).toBeGreaterThan(100);
  expect(p99Ms).toBeLessThan(delayShareLimit * elapsedMs);
}
