import pino from 'pino';
import { describe, expect, test } from 'vitest';
import type { Caller } from '../../../../src/access/keys/caller.ts';
import { formatReset, inSeconds } from '../../../../src/access/limits/allowance.ts';
import { FallbackStore } from '../../../../src/access/limits/fallback-store.ts';
import { KeyTokenMeter, restoreQuotas } from '../../../../src/access/limits/key-token-meter.ts';
import type { LimitStore } from '../../../../src/access/limits/limit-store.ts';
import { MemoryStore } from '../../../../src/access/limits/memory-store.ts';

const bounds = { limit: 3, windowMs: 60_000 };

/** A store whose clock the test turns. */
function memory() {
  const clock = { ms: 1000 };
  return { clock, store: new MemoryStore(() => clock.ms) };
}

describe('a window', () => {
  test('is a sliding log: what was taken leaves it a minute later', async () => {
    const { clock, store } = memory();
    const take = (id: string) => store.take('w', { id, amount: 1 }, bounds);
    expect(await take('a')).toEqual({ granted: true, used: 1, retryMs: 0, resetMs: 60_000 });
    clock.ms += 10_000;
    await take('b');
    clock.ms += 10_000;
    expect(await take('c')).toEqual({ granted: true, used: 3, retryMs: 0, resetMs: 60_000 });
    clock.ms += 5_000;
    expect(await take('d')).toEqual({
      granted: false,
      used: 3,
      retryMs: 35_000,
      resetMs: 55_000,
    });
    clock.ms += 34_999;
    expect(await take('d')).toMatchObject({ granted: false, retryMs: 1 });
    clock.ms += 1;
    expect(await take('d')).toMatchObject({ granted: true, used: 3 });
    // What was refused was not counted.
    expect(await take('e')).toMatchObject({ granted: false, retryMs: 10_000 });
  });

  test('waits until enough has left for what is asked', async () => {
    const { clock, store } = memory();
    await store.take('w', { id: 'a', amount: 1 }, bounds);
    clock.ms += 20_000;
    await store.take('w', { id: 'b', amount: 2 }, bounds);
    const ask = (amount: number) => store.take('w', { id: 'x', amount }, bounds);
    expect(await ask(1)).toMatchObject({ granted: false, retryMs: 40_000 });
    expect(await ask(2)).toMatchObject({ granted: false, retryMs: 60_000 });
    expect(await ask(4)).toMatchObject({ granted: false, retryMs: 60_000 });
    expect(await ask(0)).toMatchObject({ granted: true, used: 3, resetMs: 60_000 });
  });

  test('counts the settled amount of an entry from then on', async () => {
    const { clock, store } = memory();
    await store.take('w', { id: 'a', amount: 3 }, bounds);
    clock.ms += 30_000;
    await store.settle('w', { id: 'a', amount: 2 }, bounds.windowMs);
    expect(await store.take('w', { id: '', amount: 0 }, bounds)).toMatchObject({
      used: 2,
      resetMs: 60_000,
    });
    await store.settle('w', { id: 'a', amount: 0 }, bounds.windowMs);
    expect(await store.take('w', { id: '', amount: 0 }, bounds)).toMatchObject({
      used: 0,
      resetMs: 0,
    });
    // More than the limit was used: that is over only when it has left.
    await store.settle('w', { id: 'b', amount: 9 }, bounds.windowMs);
    expect(await store.take('w', { id: 'c', amount: 1 }, bounds)).toMatchObject({
      granted: false,
      used: 9,
      retryMs: 60_000,
    });
  });

  test('is separate from others, and is deleted once it is empty', async () => {
    const { clock, store } = memory();
    await store.take('w', { id: 'a', amount: 3 }, bounds);
    expect(await store.take('v', { id: 'a', amount: 3 }, bounds)).toMatchObject({ granted: true });
    clock.ms += 400_000;
    expect(await store.take('v', { id: 'b', amount: 3 }, bounds)).toMatchObject({ used: 3 });
  });
});

describe('a total', () => {
  test('grows up to its limit, gives back, and is forgotten', async () => {
    const { clock, store } = memory();
    const add = (amount: number, limit = 10) =>
      store.addToTotal('t', amount, { limit, lifetimeMs: 1000 });
    expect(await add(6)).toEqual({ granted: true, total: 6 });
    expect(await add(5)).toEqual({ granted: false, total: 6 });
    expect(await add(-2)).toEqual({ granted: true, total: 4 });
    expect(await add(9, Number.POSITIVE_INFINITY)).toEqual({ granted: true, total: 13 });
    expect(await add(-50)).toEqual({ granted: true, total: 0 });
    await add(10);
    clock.ms += 1000;
    expect(await add(1)).toEqual({ granted: true, total: 1 });
  });
});

describe('a meter', () => {
  function meter(limits: Caller['limits'], id = 'request') {
    const { clock, store } = memory();
    const day = { ms: Date.UTC(2026, 10, 24, 22) };
    const caller: Caller = {
      keyId: 'a',
      scopes: ['inference'],
      models: undefined,
      priority: undefined,
      limits,
      cacheScope: 'a',
    };
    const seen: unknown[] = [];
    const of = (name: string) =>
      new KeyTokenMeter(
        store,
        caller,
        name,
        (tokens) => seen.push(tokens),
        () => day.ms,
      );
    return { clock, day, seen, store, of, meter: of(id) };
  }

  test('restores the recorded usage of today, and of no other day, after a restart', async () => {
    const { day, store, meter: first } = meter({ tokensPerDay: 100 });
    const usage = {
      keyId: 'a',
      requestCount: 1,
      errorCount: 0,
      promptTokenCount: 50,
      cachedTokenCount: 40,
      completionTokenCount: 30,
    };
    const recorded = [
      { ...usage, day: '2026-11-24' },
      { ...usage, day: '2026-11-23' },
      { ...usage, day: '2026-11-24', keyId: 'b' },
    ];
    await restoreQuotas(store, recorded, day.ms);
    await expect(
      first.reserve({ promptTokenCount: 21, completionTokenCount: 0 }),
    ).rejects.toMatchObject({ code: 'insufficient_quota' });
    await first.reserve({ promptTokenCount: 20, completionTokenCount: 0 });
  });

  test('reserves prompt and completion, and counts the tokens that were used', async () => {
    const { meter: first, of, seen } = meter({ tokensPerMinute: 100 });
    await first.reserve({ promptTokenCount: 10, completionTokenCount: 50 });
    await expect(
      of('second').reserve({ promptTokenCount: 10, completionTokenCount: 40 }),
    ).rejects.toMatchObject({
      code: 'tokens_exceeded',
      retryAfterMs: 60_000,
      message:
        'Rate limit reached on tokens per min (TPM): Limit 100, Used 60, Requested 50. Please try again in 60s.',
    });
    await first.settle(15);
    await of('third').reserve({ promptTokenCount: 10, completionTokenCount: 40 });
    expect(seen).toEqual([
      { limit: 100, remaining: 40, resetMs: 60_000 },
      { limit: 100, remaining: 40, resetMs: 60_000 },
      { limit: 100, remaining: 35, resetMs: 60_000 },
    ]);
  });

  test('lets a completion longer than the limit begin when nothing else runs', async () => {
    const { meter: first, of } = meter({ tokensPerMinute: 100 });
    await first.reserve({ promptTokenCount: 10, completionTokenCount: 4096 });
    await first.settle(300);
    const next = of('next').reserve({ promptTokenCount: 1, completionTokenCount: 1 });
    await expect(next).rejects.toThrow('Used 300');
  });

  test('refuses a prompt that can never fit', async () => {
    const request = { promptTokenCount: 101, completionTokenCount: 1 };
    await expect(meter({ tokensPerMinute: 100 }).meter.reserve(request)).rejects.toThrow(
      'Limit 100, Used 0, Requested 101. The prompt alone exceeds the limit.',
    );
  });

  test('ends with the tokens of a day, which begins at midnight UTC', async () => {
    const { day, of } = meter({ tokensPerDay: 50 });
    const first = of('1');
    await first.reserve({ promptTokenCount: 20, completionTokenCount: 4096 });
    await first.settle(45);
    await expect(
      of('2').reserve({ promptTokenCount: 10, completionTokenCount: 1 }),
    ).rejects.toMatchObject({
      code: 'insufficient_quota',
      shouldRetry: false,
      // Clients ignore a longer wait than a minute.
      retryAfterMs: 60_000,
    });
    // A guess about the completion does not end the day.
    await of('3').reserve({ promptTokenCount: 5, completionTokenCount: 4096 });
    await expect(
      of('4').reserve({ promptTokenCount: 0, completionTokenCount: 1 }),
    ).rejects.toMatchObject({ code: 'insufficient_quota' });
    day.ms += 2 * 3_600_000;
    await of('5').reserve({ promptTokenCount: 50, completionTokenCount: 1 });
  });

  test('gives back the minute where the day refuses', async () => {
    const { of } = meter({ tokensPerDay: 5, tokensPerMinute: 10 });
    const long = { promptTokenCount: 8, completionTokenCount: 0 };
    await expect(of('1').reserve(long)).rejects.toMatchObject({ code: 'insufficient_quota' });
    await of('2').reserve({ promptTokenCount: 5, completionTokenCount: 5 });
  });

  test('does not use the store without limits', async () => {
    const { meter: free, seen } = meter({ requestsPerMinute: 5 });
    await free.reserve({ promptTokenCount: 1e9, completionTokenCount: 1e9 });
    await free.settle(2e9);
    expect(seen).toEqual([]);
  });
});

describe('durations in headers', () => {
  test.each([
    [0, '0ms'],
    [11.2, '12ms'],
    [1574, '1.574s'],
    [60_000, '1m0s'],
    [360_000, '6m0s'],
    [3_599_001, '1h0m0s'],
    [86_400_000, '24h0m0s'],
  ])('%f is written %s', (durationMs, text) => {
    expect(formatReset(durationMs)).toBe(text);
  });

  test('are never too early in messages', () => {
    expect([0, 1574].map(inSeconds)).toEqual(['0.001s', '1.574s']);
  });
});

describe('a store that fails', () => {
  test('is replaced by the own one until it is back, with one line for each change', async () => {
    const logLines: { level: number; msg: string }[] = [];
    const logger = pino({}, { write: (line: string) => logLines.push(JSON.parse(line)) });
    const shared = memory().store;
    let failing = false;
    const flaky: LimitStore = {
      take: async (...all) => {
        if (failing) throw new Error('gone');
        return shared.take(...all);
      },
      settle: (...all) => shared.settle(...all),
      addToTotal: (...all) => shared.addToTotal(...all),
      close: () => shared.close(),
    };
    const store = new FallbackStore(flaky, memory().store, logger);
    const take = async (id: string) => (await store.take('w', { id, amount: 1 }, bounds)).used;
    expect(await take('a')).toBe(1);
    failing = true;
    expect([await take('b'), await take('c')]).toEqual([1, 2]);
    failing = false;
    expect(await take('d')).toBe(2);
    expect(logLines.map(({ level, msg }) => [level, msg])).toEqual([
      [50, 'limits are counted by this server alone'],
      [30, 'limits are shared again'],
    ]);
  });
});
