import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { startServer, tinyModelFile } from '../support/start-server.ts';

/** Four choices of one prompt, token by token: the prompt is computed as one piece, then they decode together. */
async function replies(modelPath: string, flag: string) {
  const server = await startServer({
    modelPath,
    flags: [flag, '--threads', '2', '--log-level', 'debug'],
  });
  const reply = await server.chat({
    messages: [{ role: 'user', content: 'the people of the mountain wait for water all day long' }],
    n: 4,
    seed: 3,
    max_tokens: 40,
    logprobs: true,
    top_logprobs: 5,
    ignore_eos: true,
  });
  const { choices } = (await reply.json()) as { readonly choices: readonly object[] };
  return { server, choices };
}

test('with its own kernels the engine replies as with those of llama.cpp, to the last bit', async () => {
  const modelPath = tinyModelFile({ weightType: 'Q8_0', width: 192, feedForwardWidth: 416 });
  const own = await replies(modelPath, '--cpu-kernels');
  const plain = await replies(modelPath, '--no-cpu-kernels');
  expect(own.choices).toHaveLength(4);
  expect(own.choices).toEqual(plain.choices);

  const said = 'kernels for Q8_0 weights installed';
  expect(plain.server.hasLogged(said)).toBe(false);
  const isX64Linux = process.platform === 'linux' && process.arch === 'x64';
  if (isX64Linux && readFileSync('/proc/cpuinfo', 'utf8').includes(' avx2 ')) {
    expect(own.server.hasLogged(said)).toBe(true);
  }
});
