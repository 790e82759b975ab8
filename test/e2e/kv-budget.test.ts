import { expect, test } from 'vitest';
import { startServer, type TestServer, tinyModelFile } from '../support/start-server.ts';

const vocabulary = ['water', 'mountain', 'people', 'long', 'day', 'over', 'king'];

/** Some 500 tokens that differ from the first on. */
const promptOf = (index: number) =>
  Array.from({ length: 500 }, (_, at) => vocabulary[(at * (index + 1) + index) % 7]).join(' ');

async function ask(server: TestServer, index: number) {
  const messages = [{ role: 'user', content: promptOf(index) }];
  const reply = await server.chat({ messages, max_tokens: 450, temperature: 0, ignore_eos: true });
  const body = (await reply.json()) as {
    readonly choices?: readonly { readonly message: { readonly content: string } }[];
    readonly usage?: { readonly total_tokens: number };
  };
  return { status: reply.status, text: body.choices?.[0]?.message.content, usage: body.usage };
}

/** Value of a series without labels, or the sum over all of them. */
async function metric(server: TestServer, name: string): Promise<number> {
  const text = await (await fetch(`${server.url}/metrics?format=prometheus`)).text();
  const lines = text.split('\n').filter((line) => line.startsWith(name));
  expect(lines, `${name} in /metrics`).not.toHaveLength(0);
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}

test('four requests that need twice the KV cache together all get the text each gets alone', async () => {
  const server = await startServer({
    modelPath: tinyModelFile({ contextLength: 2048 }),
    flags: [
      ...['--parallel', '4', '--ctx', '2048', '--kv-tokens', '2048'],
      // Sums over a shared cache depend in the last bit on where its cells lie.
      ...['--cache-type-k', 'f32', '--cache-type-v', 'f32'],
    ],
  });
  const alone = [];
  for (const index of [0, 1, 2, 3]) alone.push(await ask(server, index));
  const pausedBefore = await metric(server, 'vllm:num_preemptions_total');

  const together = await Promise.all([0, 1, 2, 3].map((index) => ask(server, index)));
  expect(together.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
  expect(together.map(({ text }) => text)).toEqual(alone.map(({ text }) => text));
  for (const { usage } of together) expect(usage?.total_tokens).toBeGreaterThan(900);
  expect(await metric(server, 'vllm:num_preemptions_total')).toBeGreaterThan(pausedBefore);
});

test('a request that can never fit is refused at once', async () => {
  const server = await startServer({
    modelPath: tinyModelFile({ contextLength: 2048 }),
    flags: ['--parallel', '4', '--ctx', '2048', '--kv-tokens', '512'],
  });
  const reply = await server.chat({
    messages: [{ role: 'user', content: promptOf(0).repeat(2) }],
    max_tokens: 1,
  });
  expect(reply.status).toBe(400);
  const { error } = (await reply.json()) as { readonly error: { readonly code: string } };
  expect(error.code).toBe('context_length_exceeded');
});
