import { describe, expect, test } from 'vitest';
import { FairQueue, type Priority, type Waiting } from '../../../src/admission/fair-queue.ts';
import { SeededRandom } from '../../../tools/fixtures/seeded-random.ts';

interface Item extends Waiting {
  readonly name: string;
}

const item = (name: string, fairShareKey: string, priority: Priority = 'interactive'): Item => ({
  name,
  fairShareKey,
  priority,
});

describe('a fair queue', () => {
  test('serves one key in the order it came', () => {
    const queue = new FairQueue<Item>();
    for (const name of ['a', 'b', 'c']) queue.add(item(name, 'alice'));
    expect([queue.next()?.name, queue.next()?.name, queue.next()?.name]).toEqual(['a', 'b', 'c']);
    expect(queue.next()).toBeUndefined();
  });

  test('serves a newcomer before a key that was served already', () => {
    const queue = new FairQueue<Item>();
    for (let index = 0; index < 100; index++) queue.add(item(`a${index}`, 'alice'));
    expect(queue.next()?.name).toBe('a0');
    queue.charge('alice', 10);
    queue.add(item('b', 'bob'));
    expect(queue.next()?.name).toBe('b');
    expect(queue.next()?.name).toBe('a1');
  });

  test('serves the key that has cost the least', () => {
    const queue = new FairQueue<Item>();
    for (const name of ['1', '2', '3']) {
      queue.add(item(`a${name}`, 'alice'));
      queue.add(item(`b${name}`, 'bob'));
    }
    expect(queue.next()?.name).toBe('a1');
    queue.charge('alice', 300);
    expect(queue.next()?.name).toBe('b1');
    queue.charge('bob', 100);
    expect(queue.next()?.name).toBe('b2');
    queue.charge('bob', 100);
    expect(queue.next()?.name).toBe('b3');
    expect(queue.next()?.name).toBe('a2');
  });

  test('gives a key nothing of what it left unused while it was away', () => {
    const queue = new FairQueue<Item>();
    queue.add(item('a0', 'alice'));
    queue.next();
    queue.charge('alice', 1000);
    queue.add(item('b0', 'bob'));
    queue.next();
    // Bob begins where Alice is, and not 1000 below her.
    queue.charge('bob', 1);
    for (const name of ['1', '2']) {
      queue.add(item(`b${name}`, 'bob'));
      queue.add(item(`a${name}`, 'alice'));
    }
    expect(queue.next()?.name).toBe('a1');
  });

  test('forgets a key that neither waits nor is served', () => {
    const queue = new FairQueue<Item>();
    queue.add(item('a0', 'alice'));
    queue.next();
    queue.charge('alice', 1000);
    queue.end('alice');
    queue.add(item('b0', 'bob'));
    queue.add(item('a1', 'alice'));
    expect(queue.next()?.name).toBe('b0');
    queue.charge('bob', 1);
    expect(queue.next()?.name).toBe('a1');
  });

  test('serves batch when nothing interactive waits, for any key', () => {
    const queue = new FairQueue<Item>();
    queue.add(item('slow', 'alice', 'batch'));
    queue.add(item('fast', 'alice'));
    queue.add(item('other', 'bob', 'batch'));
    queue.add(item('quick', 'carol'));
    const names = [0, 1, 2, 3].map(() => queue.next()?.name);
    expect(names.slice(0, 2).sort()).toEqual(['fast', 'quick']);
    expect(names.slice(2).sort()).toEqual(['other', 'slow']);
  });

  test('removes an item that waits, and nothing else', () => {
    const queue = new FairQueue<Item>();
    const [a, b] = [item('a', 'alice'), item('b', 'alice')];
    queue.add(a);
    queue.add(b);
    queue.remove(a);
    queue.remove(a);
    expect(queue.size).toBe(1);
    expect(queue.next()).toBe(b);
    queue.remove(b);
    expect(queue.size).toBe(0);
  });

  test('shares equally between keys that always want something, whatever their requests cost', () => {
    const queue = new FairQueue<Item>();
    const random = new SeededRandom(7);
    const costs: Record<string, number> = { alice: 10, bob: 100, carol: 35 };
    const served: Record<string, number> = { alice: 0, bob: 0, carol: 0 };
    for (const fairShareKey of Object.keys(costs)) queue.add(item('', fairShareKey));
    let total = 0;
    for (let turn = 0; turn < 3000; turn++) {
      const next = queue.next();
      if (next === undefined) throw new Error('an item always waits');
      const cost = Math.round((costs[next.fairShareKey] ?? 0) * (0.5 + random.next()));
      queue.charge(next.fairShareKey, cost);
      served[next.fairShareKey] = (served[next.fairShareKey] ?? 0) + cost;
      total += cost;
      queue.add(item('', next.fairShareKey));
      queue.end(next.fairShareKey);
    }
    for (const share of Object.values(served)) expect(share / total).toBeCloseTo(1 / 3, 2);
  });
});
