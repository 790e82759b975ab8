import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { startServer, tinyModelFile } from '../support/start-server.ts';

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

  const said = 'kernels for quantized weights installed';
  expect(plain.server.hasLogged(said)).toBe(false);
  const isX64Linux = process.platform === 'linux' && process.arch === 'x64';
  if (isX64Linux && readFileSync('/proc/cpuinfo', 'utf8').includes(' avx2 ')) {
    expect(own.server.hasLogged(said)).toBe(true);
    // Different kernels round in different ways, so equal values would mean that one set is not in use.
    expect(own.values).not.toEqual(plain.values);
  }
});
