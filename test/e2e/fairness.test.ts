import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { isLong } from '../support/long.ts';
import { startServer, type TestServer, temporaryFolder } from '../support/start-server.ts';
import { bearer, secrets } from '../support/test-keys.ts';

const queuedCount = isLong ? 100 : 40;
const singleCount = isLong ? 40 : 12;
const slotCount = 4;

/** A chat that takes 64 tokens, whatever the model would rather say. */
async function chat({ url }: TestServer, secret: string, word: string): Promise<number> {
  const startedAt = performance.now();
  const reply = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...bearer(secret) },
    body: JSON.stringify({
      messages: [{ role: 'user', content: `Please repeat: ${word}` }],
      max_tokens: 64,
      ignore_eos: true,
    }),
  });
  await reply.arrayBuffer();
  expect(reply.status).toBe(200);
  return performance.now() - startedAt;
}

/** How long its requests of the log waited for a slot, and how long they took from there. */
function timesOf(server: TestServer, keyId: string) {
  return server.lines
    .filter((line) => line.msg === 'request completed' && line.keyId === keyId)
    .map((line) => ({
      queueMs: Number(line.queueMs),
      turnMs: Number(line.durationMs) - Number(line.queueMs),
    }));
}

function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
}

test(`while one key keeps ${queuedCount} requests queued, another key's single ones wait no longer than one turn`, async () => {
  const folder = temporaryFolder();
  const keys = join(folder, 'keys.txt');
  writeFileSync(keys, `flood:${secrets.alice}\nsingle:${secrets.bob}\n`, { mode: 0o600 });
  const server = await startServer({
    flags: [
      ...['--auth-enabled', '--auth-keys-file', keys, '--parallel', String(slotCount)],
      ...['--max-requests-per-minute', '1000000', '--ctx', '512'],
    ],
  });
  let over = false;
  let floodCount = 0;
  const flood = Array.from({ length: queuedCount + slotCount }, async () => {
    while (!over) {
      floodCount += 1;
      await chat(server, secrets.alice, `word ${floodCount}`);
    }
  });
  await server.untilQueue({ active: slotCount });
  await expect
    .poll(async () => (await server.health()).queue.waiting)
    .toBeGreaterThan(queuedCount - 10);
  for (let index = 0; index < singleCount; index++) {
    await chat(server, secrets.bob, `single ${index}`);
  }
  over = true;
  await Promise.all(flood);

  const singles = timesOf(server, 'single').map(({ queueMs }) => queueMs);
  const turns = timesOf(server, 'flood').map(({ turnMs }) => turnMs);
  const floodWaits = timesOf(server, 'flood').map(({ queueMs }) => queueMs);
  const worstSingle = quantile(singles, 0.99);
  const turn = quantile(turns, 0.5);
  console.log(
    `fairness: ${singles.length} single requests waited p50 ${quantile(singles, 0.5).toFixed(0)} ms, ` +
      `p99 ${worstSingle.toFixed(0)} ms; a turn of the flood takes p50 ${turn.toFixed(0)} ms, ` +
      `p99 ${quantile(turns, 0.99).toFixed(0)} ms; its own requests wait p50 ` +
      `${quantile(floodWaits, 0.5).toFixed(0)} ms`,
  );
  expect(singles).toHaveLength(singleCount);
  // Order, not speed: who waits behind the flood would wait for some 25 turns.
  expect(worstSingle).toBeLessThan(5 * quantile(turns, 0.99));
  expect(quantile(floodWaits, 0.5)).toBeGreaterThan(5 * quantile(singles, 0.5));
}, 300_000);
