import { describe, expect, it } from 'vitest';
import type { ChatOutcome } from '../../../src/bench/client.ts';
import { type LoadInput, runLoad } from '../../../src/bench/load.ts';
import { SeededRandom } from '../../../src/bench/seeded-random.ts';
import { createWorkload, type WorkloadOptions } from '../../../src/bench/workload.ts';

const workloadOptions: WorkloadOptions = {
  name: 'fixed',
  prompt: 'Hello',
  promptTokenCount: 4,
  prefixTokenCount: 4,
  turnCount: 3,
  scale: { tokensPerWord: 1, templateTokenCount: 0 },
  seed: 'seed',
  mark: 'server',
};

const success = (startedAtMs: number, text = ''): ChatOutcome => ({
  ok: true,
  startedAtMs,
  completion: {
    ttftMs: 1,
    totalMs: 2,
    interTokenMs: [],
    longestPauseMs: undefined,
    decodeTokensPerSecond: undefined,
    tokens: { prompt: 1, cached: 0, completion: 1, deltas: 1, countedBy: 'usage' },
    finishReason: 'length',
    text,
    serverTimings: undefined,
  },
});

function run(input: Partial<LoadInput>) {
  return runLoad({
    load: { kind: 'closed', concurrency: 1 },
    limit: { requestCount: 10, durationMs: undefined },
    workload: createWorkload(workloadOptions),
    requestsPerSession: 1,
    random: new SeededRandom(1),
    send: async (_messages, intendedAtMs) => success(intendedAtMs ?? performance.now()),
    signal: new AbortController().signal,
    ...input,
  });
}

/** Answers on request. */
function gate() {
  const waiting: (() => void)[] = [];
  return {
    waiting,
    send: async () => {
      const startedAtMs = performance.now();
      await new Promise<void>((resolve) => waiting.push(resolve));
      return success(startedAtMs);
    },
  };
}
const turns = () => new Promise((resolve) => setImmediate(resolve));

describe('a closed loop', () => {
  it('keeps exactly the given number of requests under way', async () => {
    const { waiting, send } = gate();
    const running = run({ load: { kind: 'closed', concurrency: 3 }, send });
    let answeredCount = 0;
    while (answeredCount < 10) {
      await turns();
      expect(waiting.length).toBe(Math.min(3, 10 - answeredCount));
      waiting.shift()?.();
      answeredCount += 1;
    }
    const { samples, peakInFlightCount } = await running;
    expect(samples).toHaveLength(10);
    expect(peakInFlightCount).toBe(3);
  });

  it('sends the turns of a conversation one after the other, with the answers', async () => {
    const asked: string[][] = [];
    const { samples } = await run({
      workload: createWorkload({ ...workloadOptions, name: 'multi-turn' }),
      limit: { requestCount: 5, durationMs: undefined },
      send: async (messages) => {
        asked.push(messages.map(({ role }) => role));
        return success(performance.now(), 'answer');
      },
    });
    expect(samples.map(({ turn }) => turn)).toEqual([1, 2, 3, 1, 2]);
    expect(asked[2]).toEqual(['user', 'assistant', 'user', 'assistant', 'user']);
  });

  it('goes on after a failure with a new session', async () => {
    let count = 0;
    const { samples } = await run({
      workload: createWorkload({ ...workloadOptions, name: 'multi-turn' }),
      limit: { requestCount: 3, durationMs: undefined },
      send: async () => {
        count += 1;
        const at = performance.now();
        const failure = { kind: 'status', status: 500, message: 'oops' } as const;
        return count === 1 ? { ok: false, startedAtMs: at, endedAtMs: at, failure } : success(at);
      },
    });
    expect(samples.map(({ turn, outcome }) => [turn, outcome.ok])).toEqual([
      [1, false],
      [1, true],
      [2, true],
    ]);
  });

  it('leaves out requests that a signal interrupts', async () => {
    const stop = new AbortController();
    let count = 0;
    const { samples } = await run({
      signal: stop.signal,
      send: async () => {
        count += 1;
        if (count < 4) return success(performance.now());
        stop.abort();
        return undefined;
      },
    });
    expect(samples).toHaveLength(3);
    expect(count).toBe(4);
  });

  it('sends nothing once it is stopped', async () => {
    const result = await run({ signal: AbortSignal.abort() });
    expect(result).toMatchObject({ samples: [], wallMs: 0, peakInFlightCount: 0 });
    expect(result.clientBusyRatio).toBeGreaterThanOrEqual(0);
  });

  it('ends at its duration', async () => {
    const { samples, wallMs } = await run({
      limit: { requestCount: undefined, durationMs: 60 },
      send: async () => {
        const at = performance.now();
        await new Promise((resolve) => setTimeout(resolve, 20));
        return success(at);
      },
    });
    expect(samples.length).toBeGreaterThan(0);
    expect(wallMs).toBeGreaterThanOrEqual(60);
  });
});

describe('an open loop', () => {
  const load = { kind: 'open', requestsPerSecond: 500 } as const;

  it('sends at the arrivals, whether or not earlier requests are answered', async () => {
    const { waiting, send } = gate();
    const running = run({ load, send });
    while (waiting.length < 10) await turns();
    for (const answer of waiting) answer();
    expect((await running).peakInFlightCount).toBe(10);
  });

  it('starts the clock at the arrival, and arrives at the same moments for the same seed', async () => {
    const arrivals = async () => {
      const { samples } = await run({ load });
      return samples.map(({ startMs }) => startMs);
    };
    const first = await arrivals();
    const second = await arrivals();
    expect(first).toHaveLength(10);
    for (const [index, at] of first.entries()) expect(second[index]).toBeCloseTo(at, 6);
    const random = new SeededRandom(1);
    expect(first[0]).toBeCloseTo(-Math.log(1 - random.next()) * 2, 6);
  });

  it('ends at its duration, however many requests there could be', async () => {
    const { samples } = await run({ load, limit: { requestCount: undefined, durationMs: 50 } });
    expect(samples.length).toBeGreaterThan(0);
    expect(samples.every(({ startMs }) => startMs < 50)).toBe(true);
  });
});
