import { describe, expect, test } from 'vitest';
import { merge } from '../../../../src/api/generation/merge.ts';

/** Yields the values, each in a later turn of the event loop, and notes when it was ended. */
async function* source<T>(values: readonly T[], ended: string[] = [], name = '') {
  try {
    for (const value of values) {
      await new Promise((resolve) => setImmediate(resolve));
      yield value;
    }
  } finally {
    ended.push(name);
  }
}

async function collect<T>(values: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const value of values) all.push(value);
  return all;
}

describe('merge', () => {
  test('yields everything of every source, each in its order', async () => {
    const merged = await collect(merge([source([1, 2, 3]), source([]), source([4])]));
    expect(merged).toHaveLength(4);
    expect(merged).toContain(4);
    expect(merged.filter((value) => value < 4)).toEqual([1, 2, 3]);
  });

  test('of one is that one', async () => {
    const only = source([1, 2]);
    expect(merge([only])).toBe(only);
  });

  test('of nothing is over at once', async () => {
    expect(await collect(merge([]))).toEqual([]);
  });

  test('asks a source for more only when its last value was taken', async () => {
    let asked = 0;
    async function* counting() {
      for (;;) {
        asked += 1;
        yield asked;
      }
    }
    const merged = merge([counting()]);
    await merged.next();
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(asked).toBe(1);
    await merged.next();
    await merged.return();
    expect(asked).toBeLessThanOrEqual(3);
  });

  test('ends all sources when one fails, and throws its error', async () => {
    const ended: string[] = [];
    async function* failing() {
      yield 'one';
      throw new Error('broken');
    }
    const merged = merge<string>([source(Array(1000).fill('x'), ended, 'other'), failing()]);
    await expect(collect(merged)).rejects.toThrow('broken');
    expect(ended).toEqual(['other']);
  });

  test('ends all sources when it is left early', async () => {
    const ended: string[] = [];
    for await (const _ of merge([source([1, 2], ended, 'a'), source([3, 4], ended, 'b')])) break;
    expect(ended.sort()).toEqual(['a', 'b']);
  });
});
