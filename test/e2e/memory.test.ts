import { once } from 'node:events';
import { Agent, type IncomingMessage, request } from 'node:http';
import { isDeepStrictEqual } from 'node:util';
import { expect, test } from 'vitest';
import type { Health } from '../../src/api/info/health-shapes.ts';
import { SeededRandom, testSeed } from '../../tools/fixtures/seeded-random.ts';
import { isLong } from '../support/long.ts';
import {
  type ProcessResources,
  startServer,
  type TestServer,
  tinyModelFile,
} from '../support/start-server.ts';

const requestCount = isLong ? 10_000 : 600;
/** The server has warmed up by then: caches are filled, code is compiled. */
const baselineCount = isLong ? 1000 : 200;
const concurrency = 16;
const slotCount = 8;
const contextLength = 256;
/**
 * What a server may grow by in the second half of the requests, unless it grew by more in the first half: a leak grows
 * evenly, allocators and compilers reach an end. One moment of a busy machine takes up to 20 MiB.
 */
const growthLimitBytes = 32 * 2 ** 20;

const kinds = ['plain', 'streamed', 'plain-aborted', 'streamed-aborted'] as const;
type Kind = (typeof kinds)[number];

test(`${requestCount} short requests, plain, streamed and aborted, leave nothing behind`, async () => {
  const seed = testSeed();
  const random = new SeededRandom(seed);
  console.log(`memory: seed ${seed}, set TEST_SEED to repeat it`);
  const server = await startServer({
    modelPath: tinyModelFile({ endTokenGain: 1.5 }),
    probe: true,
    // Prefixes that leave the KV cache would fill a quarter of the machine's memory, which looks like a leak.
    flags: ['--parallel', String(slotCount), '--ctx', String(contextLength), '--cache-ram', '4'],
  });

  const start = await settled(server);
  await send(server, baselineCount, random);
  const baseline = await settled(server, start);
  report(baselineCount, baseline);
  const halfCount = (requestCount - baselineCount) / 2;
  await send(server, halfCount, random);
  const middle = await settled(server, start);
  report(baselineCount + halfCount, middle);
  const counts = await send(server, halfCount, random);
  const end = await settled(server, start);
  report(requestCount, end);
  const leftCount = server.lines.filter(({ status }) => status === 499).length;
  console.log(`memory: ${JSON.stringify(counts)}, ${leftCount} left before their end`);

  for (const kind of kinds) expect(counts[kind]).toBeGreaterThan(0);
  expect(leftCount).toBeGreaterThan(0);
  expect(end.active).toEqual(start.active);
  expect(end.openFileCount).toBeLessThanOrEqual(baseline.openFileCount);
  const growthBytes = middle.rssBytes - baseline.rssBytes;
  expect(end.rssBytes - middle.rssBytes).toBeLessThanOrEqual(
    Math.max(growthLimitBytes, growthBytes),
  );
  await expectAllRoomFree(server);
}, 600_000);

/** Waits until nothing runs and the process holds no more than it did at the start; then what it holds. */
async function settled(server: TestServer, start?: ProcessResources): Promise<ProcessResources> {
  const deadline = performance.now() + 60_000;
  for (;;) {
    const queue = await idleQueue(server);
    const resources = await server.ask('resources');
    const isIdle = queue.active === 0 && queue.waiting === 0;
    const isAsBefore = start === undefined || isDeepStrictEqual(resources.active, start.active);
    // In vain, the caller's expectations say what is left.
    if ((isIdle && isAsBefore) || performance.now() > deadline) {
      expect(queue).toMatchObject({ active: 0, waiting: 0 });
      return resources;
    }
  }
}

/** The queue, asked for on a connection that does not outlive the answer. */
async function idleQueue({ url }: TestServer): Promise<Health['queue']> {
  const call = request(`${url}/health`, { agent: false }).end();
  const [reply] = (await once(call, 'response')) as [IncomingMessage];
  const body = Buffer.concat(await reply.toArray());
  await once(call, 'close');
  return (JSON.parse(body.toString()) as Health).queue;
}

/** Sends requests of random kinds, some at a time, and counts how they ended. */
async function send(
  server: TestServer,
  count: number,
  random: SeededRandom,
): Promise<Record<Kind, number>> {
  const agent = new Agent({ keepAlive: true, maxSockets: concurrency });
  const counts = { plain: 0, streamed: 0, 'plain-aborted': 0, 'streamed-aborted': 0 };
  let leftCount = count;
  const work = async (): Promise<void> => {
    while (leftCount > 0) {
      leftCount -= 1;
      const kind = kinds[random.integer(0, kinds.length - 1)] as Kind;
      await sendOne(server, agent, kind, random);
      counts[kind] += 1;
    }
  };
  await Promise.all(Array.from({ length: concurrency }, work));
  agent.destroy();
  return counts;
}

async function sendOne(
  { url }: TestServer,
  agent: Agent,
  kind: Kind,
  random: SeededRandom,
): Promise<void> {
  const isAborted = kind.endsWith('-aborted');
  const call = request(`${url}/v1/chat/completions`, {
    method: 'POST',
    agent,
    headers: { 'content-type': 'application/json' },
  });
  const closed = new Promise((resolve) => call.once('close', resolve));
  const body = {
    messages: [{ role: 'user', content: 'again '.repeat(random.integer(1, 20)) }],
    max_tokens: isAborted ? 150 : random.integer(1, 24),
    ignore_eos: isAborted,
    stream: kind.startsWith('streamed'),
  };
  call.end(JSON.stringify(body));
  if (kind === 'plain-aborted') {
    call.once('error', () => {});
    for (let turn = random.integer(0, 30); turn > 0; turn--) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    call.destroy();
  } else {
    const [reply] = (await once(call, 'response')) as [IncomingMessage];
    expect(reply.statusCode).toBe(200);
    let leftReads = kind === 'streamed-aborted' ? random.integer(1, 3) : Number.POSITIVE_INFINITY;
    for await (const _bytes of reply) {
      leftReads -= 1;
      if (leftReads === 0) break;
    }
  }
  await closed;
}

/** Every slot at once takes a request that needs all of its part of the KV cache. */
async function expectAllRoomFree(server: TestServer): Promise<void> {
  const full = Array.from({ length: slotCount }, async () => {
    const reply = await server.client.chat.completions.create({
      model: '',
      messages: [{ role: 'user', content: 'all' }],
      ...{ ignore_eos: true },
    });
    expect(reply.choices[0]?.finish_reason).toBe('length');
    expect(reply.usage?.total_tokens).toBe(contextLength);
  });
  await Promise.all(full);
}

function report(
  count: number,
  { rssBytes, heapUsedBytes, externalBytes, ...rest }: ProcessResources,
) {
  const mebibytes = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
  console.log(
    `memory: after ${count} requests resident ${mebibytes(rssBytes)}, heap ${mebibytes(heapUsedBytes)}, ` +
      `external ${mebibytes(externalBytes)}, ${rest.openFileCount} open files, ` +
      `active ${JSON.stringify(rest.active)}`,
  );
}
