import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Admission, type Place, type Slot } from '../../../src/admission/admission.ts';
import type { Priority } from '../../../src/admission/fair-queue.ts';
import { GatewayError } from '../../../src/core/errors.ts';

const unlimited = { waitingCount: 0, waitMs: 0 };

function join(
  admission: Admission,
  keyId = 'alice',
  options: { readonly priority?: Priority; readonly signal?: AbortSignal } = {},
): Place {
  const { priority = 'interactive', signal = new AbortController().signal } = options;
  return admission.join({ keyId, priority, signal });
}

/** What a call came to so far. */
async function stateOf(slot: Promise<Slot>): Promise<'waits' | 'let in' | string> {
  return Promise.race([
    slot.then(
      () => 'let in',
      (error: unknown) => (error instanceof GatewayError ? error.code : String(error)),
    ),
    Promise.resolve()
      .then(() => Promise.resolve())
      .then(() => 'waits'),
  ]);
}

const used = { promptTokenCount: 10, cachedTokenCount: 0, completionTokenCount: 10 };

describe('admission', () => {
  test('lets in as many sequences as there are slots, and the next one for each that ends', async () => {
    const admission = new Admission(unlimited, () => 2);
    const slots = [0, 1, 2, 3].map(() => join(admission).slot(1));
    const [first] = await Promise.all(slots.slice(0, 2));
    expect(admission.waitingCount).toBe(2);
    expect(await stateOf(slots[2] as Promise<Slot>)).toBe('waits');
    first?.end();
    first?.end();
    expect(await stateOf(slots[2] as Promise<Slot>)).toBe('let in');
    expect(await stateOf(slots[3] as Promise<Slot>)).toBe('waits');
  });

  test('has one more at hand for every four slots', async () => {
    const admission = new Admission(unlimited, () => 8);
    for (let index = 0; index < 12; index++) void join(admission).slot(1);
    expect(admission.waitingCount).toBe(2);
  });

  test("one key's flood delays another key's request by one turn at most", async () => {
    const admission = new Admission(unlimited, () => 1);
    const flood = Array.from({ length: 100 }, () => join(admission, 'alice').slot(10));
    const running = await flood[0];
    const single = join(admission, 'bob').slot(10);
    expect(await stateOf(single)).toBe('waits');
    running?.end(used);
    expect(await stateOf(single)).toBe('let in');
  });

  test('a request with many sequences takes no more than its share', async () => {
    const admission = new Admission(unlimited, () => 2);
    const place = join(admission, 'alice');
    const many = Array.from({ length: 20 }, () => place.slot(10));
    const [first, second] = await Promise.all(many.slice(0, 2));
    const single = join(admission, 'bob').slot(10);
    first?.end(used);
    expect(await stateOf(single)).toBe('let in');
    second?.end(used);
    expect(await stateOf(many[2] as Promise<Slot>)).toBe('let in');
  });

  test('tokens count while they are sampled', async () => {
    const admission = new Admission(unlimited, () => 2);
    const alice = await join(admission, 'alice').slot(5);
    const bob = await join(admission, 'bob').slot(5);
    for (let index = 0; index < 10; index++) alice.notePiece();
    const nextOfAlice = join(admission, 'alice').slot(1);
    const nextOfBob = join(admission, 'bob').slot(1);
    bob.end();
    expect(await stateOf(nextOfBob)).toBe('let in');
    expect(await stateOf(nextOfAlice)).toBe('waits');
  });

  describe('a full queue', () => {
    test('holds slots and waiting requests, and refuses one more', () => {
      const admission = new Admission({ waitingCount: 2, waitMs: 0 }, () => 1);
      const places = [0, 1, 2].map(() => join(admission));
      expect(() => join(admission)).toThrow(expect.objectContaining({ code: 'queue_full' }));
      places[1]?.leave();
      join(admission);
    });

    test('gives a place of the key that has most of them to one that has none', async () => {
      const admission = new Admission({ waitingCount: 3, waitMs: 0 }, () => 1);
      const flood = [0, 1, 2, 3].map(() => join(admission, 'alice').slot(1));
      const running = await flood[0];
      const single = join(admission, 'bob').slot(1);
      expect(await stateOf(flood[3] as Promise<Slot>)).toBe('queue_full');
      running?.end(used);
      expect(await stateOf(single)).toBe('let in');
      expect(await stateOf(flood[1] as Promise<Slot>)).toBe('waits');
    });

    test('keeps out who would have as many as anybody', () => {
      const admission = new Admission({ waitingCount: 2, waitMs: 0 }, () => 1);
      void join(admission, 'alice').slot(1);
      void join(admission, 'alice').slot(1);
      void join(admission, 'bob').slot(1);
      expect(() => join(admission, 'bob')).toThrow(expect.objectContaining({ code: 'queue_full' }));
      expect(() => join(admission, 'carol')).toThrow(
        expect.objectContaining({ code: 'queue_full' }),
      );
    });

    test('gives a place of batch to an interactive request', async () => {
      const admission = new Admission({ waitingCount: 1, waitMs: 0 }, () => 1);
      await join(admission, 'alice').slot(1);
      const batch = join(admission, 'bob', { priority: 'batch' }).slot(1);
      const fast = join(admission, 'alice').slot(1);
      expect(await stateOf(batch)).toBe('queue_full');
      expect(await stateOf(fast)).toBe('waits');
    });

    test('refuses also a request that is still being prepared', async () => {
      const admission = new Admission({ waitingCount: 2, waitMs: 0 }, () => 1);
      const places = [0, 1, 2].map(() => join(admission, 'alice'));
      join(admission, 'bob');
      expect(await stateOf((places[2] as Place).slot(1))).toBe('queue_full');
    });
  });

  test('drops what waits once the client leaves', async () => {
    const admission = new Admission({ waitingCount: 1, waitMs: 0 }, () => 1);
    const running = await join(admission).slot(1);
    const controller = new AbortController();
    const place = join(admission, 'alice', { signal: controller.signal });
    const slot = place.slot(1);
    controller.abort(new Error('gone'));
    expect(await stateOf(slot)).toBe('Error: gone');
    expect(admission.waitingCount).toBe(0);
    const next = join(admission).slot(1);
    running.end();
    expect(await stateOf(next)).toBe('let in');
  });

  test('a request that is over leaves nothing in line', async () => {
    const admission = new Admission(unlimited, () => 1);
    const place = join(admission);
    const running = await place.slot(1);
    const waiting = place.slot(1);
    place.leave();
    expect(await stateOf(waiting)).toContain('over');
    expect(admission.waitingCount).toBe(0);
    running.end();
    expect(await stateOf(join(admission).slot(1))).toBe('let in');
  });

  describe('time', () => {
    beforeEach(() => vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }));
    afterEach(() => vi.useRealTimers());

    test('ends a wait that is too long, and no run', async () => {
      const admission = new Admission({ waitingCount: 0, waitMs: 1000 }, () => 1);
      const running = join(admission).slot(1);
      const waiting = join(admission).slot(1);
      await running;
      vi.advanceTimersByTime(999);
      expect(await stateOf(waiting)).toBe('waits');
      vi.advanceTimersByTime(1);
      expect(await stateOf(waiting)).toBe('queue_timeout');
      expect(await stateOf(running)).toBe('let in');
    });

    test('tells when to come back, by how long slots were held', async () => {
      const admission = new Admission({ waitingCount: 3, waitMs: 0 }, () => 1);
      expect(admission.retryAfterSeconds).toBeUndefined();
      const first = await join(admission).slot(1);
      vi.advanceTimersByTime(4000);
      first.end();
      for (let index = 0; index < 4; index++) void join(admission).slot(1);
      // Three wait, each for a turn of four seconds.
      expect(admission.retryAfterSeconds).toBe(12);
      expect(() => join(admission)).toThrow(expect.objectContaining({ retryAfterSeconds: 12 }));
    });

    test('says how long a sequence waited', async () => {
      const admission = new Admission(unlimited, () => 1);
      const first = await join(admission).slot(1);
      const second = join(admission).slot(1);
      vi.advanceTimersByTime(250);
      first.end();
      expect((await second).waitedMs).toBe(250);
    });
  });
});
