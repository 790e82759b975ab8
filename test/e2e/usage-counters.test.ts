/**
 * Random mixes of chats and completions, whole and streamed, of several choices, with tools and schemas, some
 * left by their clients: what the replies say was used is what the engine has counted. `TEST_SEED` repeats a
 * run; `LONG=1` sends 1,000 requests, else 60.
 */
import { describe, expect, test } from 'vitest';
import { SeededRandom, testSeed } from '../../tools/fixtures/seeded-random.ts';
import { isLong } from '../support/long.ts';
import { readSeries } from '../support/read-metrics.ts';
import { readSse } from '../support/read-sse.ts';
import { startServer, type TestServer, tinyModelFile } from '../support/start-server.ts';

const requestCount = isLong ? 1000 : 60;
const senderCount = 8;

interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly prompt_tokens_details: { readonly cached_tokens: number };
}

/** Sums over requests, under the names of the access log. */
interface Counts {
  promptTokenCount: number;
  cachedTokenCount: number;
  completionTokenCount: number;
}

interface Sent {
  readonly path: string;
  readonly body: Record<string, unknown>;
  /** Frames after which the client leaves. */
  readonly leavesAfter?: number;
}

const tool = {
  type: 'function',
  function: {
    name: 'pick',
    parameters: { type: 'object', properties: { kind: { enum: ['a', 'b'] } }, required: ['kind'] },
  },
};
const schema = { type: 'object', properties: { ok: { type: 'boolean' } }, required: ['ok'] };

function randomRequest(random: SeededRandom, choiceCount: number): Sent {
  const chance = (share: number) => random.next() < share;
  const shared = 'said again and again '.repeat(random.integer(0, 3));
  const text = `${shared}${random.integer(0, 9)}`;
  const common = {
    max_tokens: random.integer(1, 24),
    temperature: random.next(),
    n: choiceCount,
    ...(chance(0.2) && { stop: ['a', 'e'] }),
  };
  const stream = chance(0.5) && { stream: true, stream_options: { include_usage: true } };
  if (chance(0.3)) {
    const prompt = chance(0.5) ? text : [text, `${text}, and more`];
    const best = stream === false && { n: 1, best_of: choiceCount };
    return { path: '/v1/completions', body: { ...common, ...stream, prompt, ...best } };
  }
  const format = chance(0.6)
    ? {}
    : chance(0.7)
      ? { tools: [tool], tool_choice: 'required', max_tokens: 60 }
      : { json_schema: schema, max_tokens: 60 };
  const body = { ...common, ...stream, messages: [{ role: 'user', content: text }], ...format };
  const leaves = stream !== false && chance(0.3);
  return {
    path: '/v1/chat/completions',
    body: leaves ? { ...body, max_tokens: 2000, ignore_eos: true } : body,
    ...(leaves && { leavesAfter: random.integer(1, 6) }),
  };
}

/** Sends it; what was used, as the reply says it or, of one that was left, as the log does. */
async function usageOf(server: TestServer, sent: Sent, requestId: string): Promise<Counts> {
  const reply = await fetch(server.url + sent.path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-request-id': requestId },
    body: JSON.stringify(sent.body),
  });
  if (reply.status !== 200) throw new Error(`${reply.status}: ${await reply.text()}`);
  if (sent.body.stream !== true) {
    return countsOf(((await reply.json()) as { readonly usage: Usage }).usage);
  }
  let usage: Usage | undefined;
  let frameCount = 0;
  for await (const frame of readSse(reply.body as ReadableStream<Uint8Array>)) {
    if (frame !== 'done') usage = (frame.json as { usage?: Usage | null }).usage ?? usage;
    frameCount += 1;
    // Closes the connection. An abort could leave a body that had arrived as a whole without an end.
    if (frameCount === sent.leavesAfter) break;
  }
  if (frameCount === sent.leavesAfter) {
    return (await server.line('request completed', { requestId })) as unknown as Counts;
  }
  if (usage === undefined) throw new Error(`${requestId} ended without its usage`);
  return countsOf(usage);
}

function countsOf(usage: Usage): Counts {
  return {
    promptTokenCount: usage.prompt_tokens,
    cachedTokenCount: usage.prompt_tokens_details.cached_tokens,
    completionTokenCount: usage.completion_tokens,
  };
}

interface Mix {
  readonly sum: Counts;
  /** Prompt tokens, those of every choice. */
  readonly choicePromptTokenCount: number;
  readonly leftCount: number;
}

/** Sends them all, some at a time, and waits until the server has nothing to do. */
async function sendMix(server: TestServer, seed: number, choiceLimit: number): Promise<Mix> {
  const sum: Counts = { promptTokenCount: 0, cachedTokenCount: 0, completionTokenCount: 0 };
  let choicePromptTokenCount = 0;
  let next = 0;
  let leftCount = 0;
  const send = async () => {
    while (next < requestCount) {
      const index = next++;
      const random = new SeededRandom(seed * 10_000 + index);
      const choiceCount = random.next() < 0.4 ? 1 : random.integer(1, choiceLimit);
      const sent = randomRequest(random, choiceCount);
      if (sent.leavesAfter !== undefined) leftCount += 1;
      const counts = await usageOf(server, sent, `mix-${index}`);
      for (const key of Object.keys(sum) as (keyof Counts)[]) sum[key] += counts[key];
      choicePromptTokenCount += choiceCount * counts.promptTokenCount;
    }
  };
  await Promise.all(Array.from({ length: senderCount }, send));
  await server.untilQueue({ active: 0, waiting: 0 });
  return { sum, choicePromptTokenCount, leftCount };
}

async function engineCounts(server: TestServer): Promise<Counts> {
  const scrape = await fetch(`${server.url}/metrics?format=prometheus`);
  const series = readSeries(await scrape.text());
  const [computed = Number.NaN, cached = Number.NaN, sampled = Number.NaN] = [
    series.value('llamacpp:prompt_tokens_total'),
    series.value('llamacpp:prompt_tokens_cached_total'),
    series.value('llamacpp:tokens_predicted_total'),
  ];
  return {
    promptTokenCount: computed + cached,
    cachedTokenCount: cached,
    completionTokenCount: sampled,
  };
}

describe(`the usage of ${requestCount} requests, some of them left`, () => {
  const timeout = 1_200_000;

  test('of one choice is what the engine counted', { timeout }, async () => {
    const [server, seed] = [await serve(), testSeed()];
    console.log(`TEST_SEED=${seed}`);
    const { sum, leftCount } = await sendMix(server, seed, 1);
    expect(leftCount).toBeGreaterThan(0);
    expect(sum).toEqual(await engineCounts(server));
  });

  test('of several choices counts a prompt once, and all that was sampled', {
    timeout,
  }, async () => {
    const [server, seed] = [await serve(), testSeed()];
    console.log(`TEST_SEED=${seed}`);
    const { sum, choicePromptTokenCount } = await sendMix(server, seed, 3);
    const counted = await engineCounts(server);
    expect(counted.completionTokenCount).toBe(sum.completionTokenCount);
    // Of a request that is left, not every choice need have begun.
    expect(counted.promptTokenCount).toBeGreaterThan(sum.promptTokenCount);
    expect(counted.promptTokenCount).toBeLessThanOrEqual(choicePromptTokenCount);
    // What one choice finds of another was not in the cache.
    expect(sum.cachedTokenCount).toBeLessThanOrEqual(counted.cachedTokenCount);
    const computed = counted.promptTokenCount - counted.cachedTokenCount;
    expect(sum.promptTokenCount - sum.cachedTokenCount).toBeLessThanOrEqual(computed);
  });
});

function serve(): Promise<TestServer> {
  return startServer({
    modelPath: tinyModelFile({ layerCount: 1, contextLength: 4096 }),
    flags: ['--parallel', '4', '--ctx', '4096'],
  });
}
