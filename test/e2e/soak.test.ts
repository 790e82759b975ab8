/**
 * Half an hour at saturation (`SOAK_MINUTES=30`; left out: not at all): chats and completions of all kinds, streams that
 * are left, bodies that are wrong, keys that are reloaded; and as long of conversations over one system prompt, of more
 * users than slots, some of whom leave. Nothing may leak, no slot may be lost, and no answer may be one of the server's
 * own failures.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { BenchClient } from '../../src/bench/client.ts';
import { SeededRandom, testSeed } from '../../tools/fixtures/seeded-random.ts';
import { mixOf } from '../../tools/traffic-bench/mixes.ts';
import { runTraffic } from '../../tools/traffic-bench/traffic.ts';
import {
  type ProcessResources,
  startServer,
  type TestServer,
  temporaryFolder,
} from '../support/start-server.ts';
import { bearer, secrets } from '../support/test-keys.ts';

const minutes = Number(process.env.SOAK_MINUTES || 0);
const slotCount = 8;
const clientCount = 24;
const queueSize = 12;
/** Of resident memory, from the time when it is warm to the end. */
const growthLimitBytes = 32 * 2 ** 20;

const words = ['red', 'blue', 'one', 'two', 'Monday', 'apple', 'spell', 'weather'];

type Send = (url: string, random: SeededRandom, signal: AbortSignal) => Promise<Response>;

function post(url: string, path: string, body: unknown, signal: AbortSignal): Promise<Response> {
  return fetch(`${url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...bearer(secrets.alice) },
    body: typeof body === 'string' ? body : JSON.stringify(body),
    signal,
  });
}

function chatOf(random: SeededRandom): object {
  const count = random.integer(1, 60);
  const content = Array.from({ length: count }, () => words[random.integer(0, 7)]).join(' ');
  return {
    messages: [{ role: 'user', content }],
    max_tokens: random.integer(1, 60),
    stream: random.integer(0, 1) === 1,
    temperature: random.next(),
  };
}

/** What clients send, each as often as the others. */
const kinds: Readonly<Record<string, Send>> = {
  chat: (url, random, signal) => post(url, '/v1/chat/completions', chatOf(random), signal),
  choices: (url, random, signal) =>
    post(url, '/v1/chat/completions', { ...chatOf(random), n: random.integer(2, 4) }, signal),
  json: (url, random, signal) =>
    post(
      url,
      '/v1/chat/completions',
      { ...chatOf(random), response_format: { type: 'json_object' } },
      signal,
    ),
  tools: (url, random, signal) =>
    post(
      url,
      '/v1/chat/completions',
      {
        ...chatOf(random),
        tools: [
          {
            type: 'function',
            function: {
              name: 'get_weather',
              parameters: { type: 'object', properties: { city: { type: 'string' } } },
            },
          },
        ],
        tool_choice: 'required',
      },
      signal,
    ),
  completions: (url, random, signal) =>
    post(
      url,
      '/v1/completions',
      { prompt: ['Once', 'Twice'], max_tokens: random.integer(1, 30), echo: true, logprobs: 1 },
      signal,
    ),
  embeddings: (url, random, signal) =>
    post(url, '/v1/embeddings', { input: words.slice(0, random.integer(1, 8)) }, signal),
  'bad body': (url, random, signal) => {
    const bodies = ['{', '[]', '{"messages": 5}', { messages: [] }, { ...chatOf(random), n: 99 }];
    return post(url, '/v1/chat/completions', bodies[random.integer(0, 4)], signal);
  },
  'too long': (url, _random, signal) =>
    post(
      url,
      '/v1/chat/completions',
      { messages: [{ role: 'user', content: 'a '.repeat(5000) }] },
      signal,
    ),
  reload: (url, _random, signal) => post(url, '/reload', '', signal),
};

const expectedStatuses: Readonly<Record<string, readonly number[]>> = {
  'bad body': [400, 503],
  'too long': [400, 503],
  reload: [200],
};

test.runIf(minutes > 0)(
  `${minutes} minutes at saturation`,
  { timeout: (minutes + 5) * 60_000 },
  async () => {
    const seed = testSeed();
    console.log(`soak: seed ${seed}, set TEST_SEED to repeat it`);
    const keys = join(temporaryFolder(), 'keys.txt');
    writeFileSync(keys, `user:${secrets.alice}\n`, { mode: 0o600 });
    const server = await startServer({
      probe: true,
      flags: [
        ...['--auth-enabled', '--auth-keys-file', keys, '--max-requests-per-minute', '100000000'],
        ...['--parallel', String(slotCount), '--ctx', '512', '--kv-tokens', '2048'],
        // Prefixes that leave the KV cache would fill a quarter of the machine's memory, which looks like a leak.
        ...['--max-queue-size', String(queueSize), '--cache-ram', '4'],
      ],
    });
    const counts = new Map<string, number>();
    const unexpected: string[] = [];
    const endAt = performance.now() + minutes * 60_000;
    const client = async (number: number): Promise<void> => {
      const random = new SeededRandom(seed * 1000 + number);
      while (performance.now() < endAt) {
        const kind = Object.keys(kinds)[random.integer(0, Object.keys(kinds).length - 1)] ?? '';
        const outcome = await sendOne(server, kind, random);
        counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
        if (outcome.endsWith('?')) unexpected.push(outcome);
        // Who is refused comes back a little later, so that the others get their turn.
        if (outcome.endsWith(' 503')) await new Promise((resolve) => setTimeout(resolve, 50));
      }
    };
    const clients = Array.from({ length: clientCount }, (_, number) => client(number));
    await new Promise((resolve) => setTimeout(resolve, (minutes * 60_000) / 5));
    const warm = await server.ask('resources');
    const report = setInterval(() => console.log(`soak: ${summary(counts)}`), 60_000);
    await Promise.all(clients);
    clearInterval(report);
    await server.untilQueue({ active: 0, waiting: 0 });
    const end = await server.ask('resources');
    console.log(
      `soak: ${summary(counts)}\nsoak: resident ${mebibytes(warm.rssBytes)} when warm, ` +
        `${mebibytes(end.rssBytes)} at the end; heap ${mebibytes(warm.heapUsedBytes)}, ${mebibytes(end.heapUsedBytes)}`,
    );
    expect(unexpected).toEqual([]);
    expect(end.rssBytes - warm.rssBytes).toBeLessThan(growthLimitBytes);
    const full = Array.from({ length: slotCount }, () =>
      post(
        server.url,
        '/v1/chat/completions',
        { messages: [{ role: 'user', content: 'all' }], max_tokens: 100, ignore_eos: true },
        new AbortController().signal,
      ),
    );
    for (const reply of await Promise.all(full)) expect(reply.status).toBe(200);
  },
);

test.runIf(minutes > 0)(
  `${minutes} minutes of conversations that lose their slots, and of people who leave`,
  { timeout: (minutes + 5) * 60_000 },
  async () => {
    const seed = testSeed();
    console.log(`soak: seed ${seed}, set TEST_SEED to repeat it`);
    const mix = mixOf('chat');
    const modelPath = process.env.TEST_CHAT_MODEL;
    const server = await startServer({
      ...(modelPath !== undefined && { modelPath }),
      probe: true,
      flags: [
        ...['--parallel', '4', '--ctx', String(mix.contextLength), '--cache-ram', '32'],
        ...['--threads', '0', '--flash-attention', 'auto'],
      ],
    });
    const client = new BenchClient({
      url: new URL(server.url),
      apiKey: undefined,
      timeoutMs: 120_000,
    });
    const [{ id: modelId } = { id: '' }] = (await server.client.models.list()).data;
    const startedAt = performance.now();
    const passed = () => (performance.now() - startedAt) / (minutes * 60_000);
    const total = { answered: 0, left: 0, cachedTokens: 0, promptTokens: 0 };
    let warm: ProcessResources | undefined;
    for (let round = 0; passed() < 1; round++) {
      const random = new SeededRandom(`${seed}/leaving/${round}`);
      const conversations = mix.draw(`${seed}/${round}`, 24).map(({ systemText, turns }) => ({
        systemText,
        turns: turns.map((turn) => ({
          ...turn,
          leavesAfterMs: random.integer(0, 5) === 0 ? random.integer(10, 2000) : undefined,
        })),
      }));
      const arrivals = { kind: 'closed', userCount: 10 } as const;
      const run = await runTraffic({ client, modelId, conversations, arrivals, seed: '' });
      expect(run.failures).toEqual([]);
      total.answered += run.samples.length;
      total.left += run.leftCount;
      for (const { cachedTokenCount, promptTokenCount } of run.samples) {
        total.cachedTokens += cachedTokenCount;
        total.promptTokens += promptTokenCount;
      }
      await server.untilQueue({ active: 0, waiting: 0 });
      const resources = await server.ask('resources');
      const [resident, heap] = [resources.rssBytes, resources.heapUsedBytes].map(mebibytes);
      console.log(`soak: ${JSON.stringify(total)}, resident ${resident}, heap ${heap}`);
      if (passed() > 1 / 5) warm ??= resources;
    }
    client.close();
    const end = await server.ask('resources');
    expect(total.left).toBeGreaterThan(0);
    expect(end.rssBytes - (warm ?? end).rssBytes).toBeLessThan(growthLimitBytes);
    expect(end.openFileCount).toBeLessThanOrEqual((warm ?? end).openFileCount);
  },
);

/** The kind and what came of it; with a `?` behind it where that should not be. */
async function sendOne({ url }: TestServer, kind: string, random: SeededRandom): Promise<string> {
  const controller = new AbortController();
  const leaves = random.integer(0, 4) === 0;
  const timer = leaves ? setTimeout(() => controller.abort(), random.integer(0, 300)) : undefined;
  try {
    const send = kinds[kind] as Send;
    const reply = await send(url, random, controller.signal);
    const text = await reply.text();
    const allowed = expectedStatuses[kind] ?? [200, 503];
    const isRefusal = reply.status === 503 && text.includes('"queue_full"');
    const isOdd = !allowed.includes(reply.status) || (reply.status === 503 && !isRefusal);
    const isBroken = reply.status === 200 && text.includes('"error":');
    return `${kind} ${reply.status}${isOdd || isBroken ? ` ${text.slice(0, 200)}?` : ''}`;
  } catch (error) {
    return leaves ? `${kind} left` : `${kind} ${String(error)}?`;
  } finally {
    clearTimeout(timer);
  }
}

function summary(counts: ReadonlyMap<string, number>): string {
  return [...counts]
    .toSorted(([a], [b]) => a.localeCompare(b))
    .map(([outcome, count]) => `${outcome}: ${count}`)
    .join(', ');
}

function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}
