import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Admission, type Permit, type QueueEntry } from '../../../src/admission/admission.ts';
import type { Priority } from '../../../src/admission/fair-queue.ts';
import { GatewayError } from '../../../src/core/errors.ts';

const unlimited = { waitingCount: 0, waitMs: 0 };

function join(
  admission: Admission,
  fairShareKey = 'alice',
  options: { readonly priority?: Priority; readonly signal?: AbortSignal } = {},
): QueueEntry {
  const { priority = 'interactive', signal = new AbortController().signal } = options;
  return admission.join({ fairShareKey, priority, signal });
}

/** The state of a call by now. */
async function stateOf(permit: Promise<Permit>): Promise<'waits' | 'admitted' | string> {
  return Promise.race([
    permit.then(
      () => 'admitted',
      (error: unknown) => (error instanceof GatewayError ? error.code : String(error)),
    ),
    Promise.resolve()
      .then(() => Promise.resolve())
      .then(() => 'waits'),
  ]);
}

const used = { promptTokenCount: 10, cachedTokenCount: 0, completionTokenCount: 10 };

describe('admission', () => {
  test('admits as many sequences as there are slots, and the next one for each that ends', async () => {
    const admission = new Admission(unlimited, () => 2);
    const permits = [0, 1, 2, 3].map(() => join(admission).permit(1));
    const [first] = await Promise.all(permits.slice(0, 2));
    expect(admission.waitingCount).toBe(2);
    expect(await stateOf(permits[2] as Promise<Permit>)).toBe('waits');
    first?.end();
    first?.end();
    expect(await stateOf(permits[2] as Promise<Permit>)).toBe('admitted');
    expect(await stateOf(permits[3] as Promise<Permit>)).toBe('waits');
  });

  test('admits one sequence more for every four slots', async () => {
    const admission = new Admission(unlimited, () => 8);
    for (let index = 0; index < 12; index++) void join(admission).permit(1);
    expect(admission.waitingCount).toBe(2);
  });

  test("one key's flood delays another key's request by one turn at most", async () => {
    const admission = new Admission(unlimited, () => 1);
    const flood = Array.from({ length: 100 }, () => join(admission, 'alice').permit(10));
    const running = await flood[0];
    const single = join(admission, 'bob').permit(10);
    expect(await stateOf(single)).toBe('waits');
    running?.end(used);
    expect(await stateOf(single)).toBe('admitted');
  });

  test('a request with many sequences takes no more than its share', async () => {
    const admission = new Admission(unlimited, () => 2);
    const entry = join(admission, 'alice');
    const many = Array.from({ length: 20 }, () => entry.permit(10));
    const [first, second] = await Promise.all(many.slice(0, 2));
    const single = join(admission, 'bob').permit(10);
    first?.end(used);
    expect(await stateOf(single)).toBe('admitted');
    second?.end(used);
    expect(await stateOf(many[2] as Promise<Permit>)).toBe('admitted');
  });

  test('tokens count while they are sampled', async () => {
    const admission = new Admission(unlimited, () => 2);
    const alice = await join(admission, 'alice').permit(5);
    const bob = await join(admission, 'bob').permit(5);
    for (let index = 0; index < 10; index++) alice.notePiece();
    const nextOfAlice = join(admission, 'alice').permit(1);
    const nextOfBob = join(admission, 'bob').permit(1);
    bob.end();
    expect(await stateOf(nextOfBob)).toBe('admitted');
    expect(await stateOf(nextOfAlice)).toBe('waits');
  });

  describe('a full queue', () => {
    test('holds slots and waiting requests, and refuses one more', () => {
      const admission = new Admission({ waitingCount: 2, waitMs: 0 }, () => 1);
      const entries = [0, 1, 2].map(() => join(admission));
      expect(() => join(admission)).toThrow(expect.objectContaining({ code: 'queue_full' }));
      entries[1]?.leave();
      join(admission);
    });

    test('displaces a request of the key with the most requests for a key without any', async () => {
      const admission = new Admission({ waitingCount: 3, waitMs: 0 }, () => 1);
      const flood = [0, 1, 2, 3].map(() => join(admission, 'alice').permit(1));
      const running = await flood[0];
      const single = join(admission, 'bob').permit(1);
      expect(await stateOf(flood[3] as Promise<Permit>)).toBe('queue_full');
      running?.end(used);
      expect(await stateOf(single)).toBe('admitted');
      expect(await stateOf(flood[1] as Promise<Permit>)).toBe('waits');
    });

    test('refuses a request of a key that would have as many as any other', () => {
      const admission = new Admission({ waitingCount: 2, waitMs: 0 }, () => 1);
      void join(admission, 'alice').permit(1);
      void join(admission, 'alice').permit(1);
      void join(admission, 'bob').permit(1);
      expect(() => join(admission, 'bob')).toThrow(expect.objectContaining({ code: 'queue_full' }));
      expect(() => join(admission, 'carol')).toThrow(
        expect.objectContaining({ code: 'queue_full' }),
      );
    });

    test('displaces a batch request for an interactive one', async () => {
      const admission = new Admission({ waitingCount: 1, waitMs: 0 }, () => 1);
      await join(admission, 'alice').permit(1);
      const batch = join(admission, 'bob', { priority: 'batch' }).permit(1);
      const fast = join(admission, 'alice').permit(1);
      expect(await stateOf(batch)).toBe('queue_full');
      expect(await stateOf(fast)).toBe('waits');
    });

    test('also refuses a request that is still being prepared', async () => {
      const admission = new Admission({ waitingCount: 2, waitMs: 0 }, () => 1);
      const entries = [0, 1, 2].map(() => join(admission, 'alice'));
      join(admission, 'bob');
      expect(await stateOf((entries[2] as QueueEntry).permit(1))).toBe('queue_full');
    });
  });

  test('drops waiting sequences when the client leaves', async () => {
    const admission = new Admission({ waitingCount: 1, waitMs: 0 }, () => 1);
    const running = await join(admission).permit(1);
    const controller = new AbortController();
    const entry = join(admission, 'alice', { signal: controller.signal });
    const permit = entry.permit(1);
    controller.abort(new Error('gone'));
    expect(await stateOf(permit)).toBe('Error: gone');
    expect(admission.waitingCount).toBe(0);
    const next = join(admission).permit(1);
    running.end();
    expect(await stateOf(next)).toBe('admitted');
  });

  test('a request that is over leaves nothing in the queue', async () => {
    const admission = new Admission(unlimited, () => 1);
    const entry = join(admission);
    const running = await entry.permit(1);
    const waiting = entry.permit(1);
    entry.leave();
    expect(await stateOf(waiting)).toContain('over');
    expect(admission.waitingCount).toBe(0);
    running.end();
    expect(await stateOf(join(admission).permit(1))).toBe('admitted');
  });

  describe('time', () => {
    beforeEach(() => vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }));
    afterEach(() => vi.useRealTimers());

    test('ends a wait that is too long, but no running sequence', async () => {
      const admission = new Admission({ waitingCount: 0, waitMs: 1000 }, () => 1);
      const running = join(admission).permit(1);
      const waiting = join(admission).permit(1);
      await running;
      vi.advanceTimersByTime(999);
      expect(await stateOf(waiting)).toBe('waits');
      vi.advanceTimersByTime(1);
      expect(await stateOf(waiting)).toBe('queue_timeout');
      expect(await stateOf(running)).toBe('admitted');
    });

    test('computes when to retry from how long permits were held', async () => {
      const admission = new Admission({ waitingCount: 3, waitMs: 0 }, () => 1);
      expect(admission.retryAfterSeconds).toBeUndefined();
      const first = await join(admission).permit(1);
      vi.advanceTimersByTime(4000);
      first.end();
      for (let index = 0; index < 4; index++) void join(admission).permit(1);
      // Three wait, each for a turn of four seconds.
      expect(admission.retryAfterSeconds).toBe(12);
      expect(() => join(admission)).toThrow(expect.objectContaining({ retryAfterMs: 12_000 }));
    });

    test('reports how long a sequence waited', async () => {
      const admission = new Admission(unlimited, () => 1);
      const first = await join(admission).permit(1);
      const second = join(admission).permit(1);
      vi.advanceTimersByTime(250);
      first.end();
      expect((await second).waitedMs).toBe(250);
    });
  });
});
