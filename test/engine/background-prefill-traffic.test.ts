/**
 * Random traffic through the background prefill: prompts of all lengths, some of which begin alike, that come and go at
 * any moment. What ends has the text it has alone; or its first token has about the probabilities, where the shape
 * of a batch rounds (flash attention). `LONG=1` runs more of it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ChatMessage } from '../../src/engine/chat.ts';
import { SeededRandom } from '../../tools/fixtures/seeded-random.ts';
import {
  complete,
  firstLikeliest,
  type LoadedModel,
  loadModel,
  logprobGap,
  startEngine,
} from '../../tools/fixtures/start-engine.ts';
import { isLong } from '../support/long.ts';

const requestCount = isLong ? 800 : 60;
const maxTokens = 12;

/** In log probabilities; those of two chats differ by 0.7, half of the time by more. */
const mostRounded = 0.3;

let loaded: LoadedModel;

beforeAll(async () => {
  loaded = await loadModel({ contextLength: 2048 });
});
afterAll(() => loaded.dispose());

/** Beginnings that prompts have in common, of 40 to 1200 tokens. */
const openings = [5, 30, 80, 150].map((wordCount, opening) =>
  Array.from({ length: wordCount }, (_, index) => `o${opening}x${(index * 37) % 100}`).join(' '),
);

function randomChat(random: SeededRandom): ChatMessage[] {
  const own = Array.from({ length: random.integer(1, 60) }, () => `w${random.integer(0, 999)}`);
  const opening = openings[random.integer(0, openings.length)] ?? '';
  const full = openings[3] ?? '';
  const cut = full.slice(0, random.integer(1, full.length));
  return [
    { role: 'system', content: random.next() < 0.7 ? opening : cut },
    { role: 'user', content: own.join(' ') },
  ];
}

test.each([
  ['pieces of 64', { ubatchSize: 64, stepTargetMs: 1 }],
  ['pieces of 512', { ubatchSize: 512, stepTargetMs: 3 }],
  ['side by side', { ubatchSize: 512, stepTargetMs: 3, slotCount: 8, flashAttention: 'on' }],
] as const)('random traffic: %s', { timeout: 1_200_000 }, async (name, options) => {
  const plain = await startEngine(loaded.model, {
    ...options,
    contextLength: 2048,
    kvLayout: 'split',
  });
  const engine = await startEngine(loaded.model, {
    ...options,
    contextLength: 2048,
    kvLayout: 'split',
    backgroundPrefill: true,
  });
  const random = new SeededRandom(`background prefill ${name}`);
  let endedCount = 0;
  let leftCount = 0;
  const rounds = 'flashAttention' in options;
  const gaps: number[] = [];
  const ask = async (number: number) => {
    const chat = randomChat(random);
    const leave = new AbortController();
    const leavesAfterMs = random.next() < 0.3 ? random.integer(0, 60) : undefined;
    const scope = random.next() < 0.8 ? 'shared' : `own ${number}`;
    if (leavesAfterMs !== undefined) setTimeout(() => leave.abort(), leavesAfterMs);
    const request = {
      maxTokens,
      sampling: { temperature: 0, ignoreEos: true },
      cacheScope: scope,
      ...(rounds && { logprobs: firstLikeliest }),
    };
    const reply = await complete(engine, chat, request, leave.signal);
    if (reply.end.finishReason === 'cancelled') {
      leftCount += 1;
      return;
    }
    const expected = await complete(plain, chat, { ...request, cacheScope: `plain ${number}` });
    if (rounds) gaps.push(logprobGap(reply, expected));
    else expect(reply.text).toBe(expected.text);
    expect(reply.end.usage.promptTokenCount).toBe(expected.end.usage.promptTokenCount);
    endedCount += 1;
  };
  try {
    const asked = new Set<Promise<void>>();
    for (let number = 0; number < requestCount; number++) {
      const one = ask(number).finally(() => asked.delete(one));
      asked.add(one);
      if (asked.size >= 7) await Promise.race(asked);
      if (random.next() < 0.3) await sleep(random.integer(0, 20));
      if (random.next() < 0.05) await Promise.all(asked);
    }
    await Promise.all(asked);
    expect(endedCount).toBeGreaterThan(requestCount / 2);
    expect(leftCount).toBeGreaterThan(0);
    if (rounds) expect(Math.max(...gaps)).toBeLessThan(mostRounded);
    expect(engine.stats().backgroundPrefilledTokenCount).toBeGreaterThan(50 * requestCount);
    console.log(
      `${name}: ${endedCount} ended, ${leftCount} left, ${engine.stats().backgroundPrefilledTokenCount} tokens in the background`,
    );
  } finally {
    await engine.close();
    await plain.close();
  }
});
