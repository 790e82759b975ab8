import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { startServer, tinyModelFile } from '../support/start-server.ts';

function hasKernels(): boolean {
  const isX64Linux = process.platform === 'linux' && process.arch === 'x64';
  return isX64Linux && readFileSync('/proc/cpuinfo', 'utf8').includes(' avx2 ');
}

/** The log probabilities of a prompt's tokens, computed as one piece and behind what another request left. */
async function logprobs(modelPath: string, flag: string) {
  const server = await startServer({
    modelPath,
    flags: [flag, '--threads', '2', '--log-level', 'debug'],
  });
  const reply = await server.client.completions.create({
    model: 'any',
    prompt: 'the people of the mountain wait for water all day long',
    echo: true,
    max_tokens: 1,
    logprobs: 1,
  });
  const values = reply.choices[0]?.logprobs?.token_logprobs ?? [];
  // The first token has none, and the last one was drawn.
  return { server, values: values.slice(1, -1) };
}

test('with its own kernels the engine computes what it computes with those of llama.cpp, but for rounding', async () => {
  const modelPath = tinyModelFile({ weightType: 'Q8_0', width: 192, feedForwardWidth: 416 });
  const own = await logprobs(modelPath, '--cpu-kernels');
  const plain = await logprobs(modelPath, '--no-cpu-kernels');
  expect(own.values.length).toBeGreaterThan(10);
  expect(own.values).toHaveLength(plain.values.length);
  for (const [i, value] of own.values.entries()) {
    expect(Math.abs(value - (plain.values[i] ?? Number.NaN))).toBeLessThan(0.2);
  }

  const said = 'kernels for products and attention installed';
  expect(plain.server.hasLogged(said)).toBe(false);
  if (hasKernels()) {
    expect(own.server.hasLogged(said)).toBe(true);
    // Different kernels round in different ways, so equal values would mean that one set is not in use.
    expect(own.values).not.toEqual(plain.values);
  }
});

test.runIf(hasKernels()).each(['Q8_0', 'F16', 'F32'] as const)(
  'log probabilities are the same to the last bit with %s: alone and beside others, computed and from the cache',
  async (weightType) => {
    const server = await startServer({
      modelPath: tinyModelFile({ weightType, width: 256, feedForwardWidth: 416 }),
      flags: [
        ...['--parallel', '4', '--kv-layout', 'split', '--threads', '2'],
        ...['--flash-attention', 'auto'],
      ],
    });
    const words = 'the people of the mountain wait for water all day long'.split(' ');
    const prompts = Array.from({ length: 12 }, (_, i) =>
      Array.from({ length: 5 + 9 * i }, (_, k) => words[(k * (i + 1)) % words.length]).join(' '),
    );
    const ask = async (prompt: string) => {
      const reply = await server.client.completions.create({
        ...{ model: 'any', prompt, max_tokens: 20, temperature: 0, logprobs: 1 },
      });
      return reply.choices[0]?.logprobs?.token_logprobs;
    };
    const alone: Awaited<ReturnType<typeof ask>>[] = [];
    for (const prompt of prompts) alone.push(await ask(prompt));
    expect(alone[0]?.length).toBeGreaterThan(0);
    for (let round = 0; round < 3; round++) {
      expect(await Promise.all(prompts.map(ask))).toEqual(alone);
    }
  },
);
