/** Under the limits of a container: memory that the cache of host memory must leave free, and cores. */
import { expect, onTestFinished, test } from 'vitest';
import { ControlGroup } from '../support/control-group.ts';
import { startServer, type TestServer, tinyModelFile } from '../support/start-server.ts';

const MiB = 2 ** 20;

/** A server in the group, which is removed when the server is gone. */
async function startIn(
  group: ControlGroup,
  modelPath: string,
  flags: readonly string[],
): Promise<TestServer> {
  const server = await startServer({ modelPath, flags, controlGroup: group });
  onTestFinished(async () => {
    await server.kill();
    group.remove();
  });
  return server;
}

test('prefixes in host memory stay within what a container has', async ({ skip }) => {
  // 32 KiB a token: all conversations together would take 1.3 GB, the limit and half of it.
  const limitBytes = 900 * MiB;
  const [conversationCount, length] = [40, 1000];
  const sizes = { width: 1024, headCount: 16, kvHeadCount: 16, layerCount: 8 };
  const modelPath = tinyModelFile({ ...sizes, weightType: 'Q8_0' });
  const group = ControlGroup.ofMemory(limitBytes);
  if (group === undefined) return skip('no control group can be made here');
  const flags = ['--parallel', '2', '--ctx', '2048', '--flash-attention', 'auto'];
  const server = await startIn(group, modelPath, flags);
  let highestBytes = 0;
  for (let c = 0; c < conversationCount; c++) {
    const numbers = Array.from({ length }, (_, i) => c + i * (c + 3));
    const content = numbers.join(' ').slice(0, length);
    const reply = await server.chat({ messages: [{ role: 'user', content }], max_tokens: 4 });
    expect(reply.status).toBe(200);
    await reply.text();
    highestBytes = Math.max(highestBytes, group.usedBytes);
  }
  const storedTokenCount = await server.metric('gateway_stored_tokens');
  console.log(
    `${storedTokenCount} tokens in host memory, at most ${Math.round(highestBytes / MiB)} MiB used`,
  );
  // Some conversations are kept and some are not.
  expect(storedTokenCount).toBeGreaterThan(length);
  expect(storedTokenCount).toBeLessThan((conversationCount / 2) * length);
  expect(highestBytes).toBeLessThan(limitBytes);
  expect(group.killedCount).toBe(0);
});

test('a quota of one core is one compute thread', async ({ skip }) => {
  const modelPath = tinyModelFile();
  const group = ControlGroup.ofCores(1);
  if (group === undefined) return skip('no control group can be made here');
  const server = await startIn(group, modelPath, ['--threads', '0']);
  expect(await server.metric('gateway_compute_threads')).toBe(1);
});
