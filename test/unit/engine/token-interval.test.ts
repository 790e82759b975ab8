import { expect, test } from 'vitest';
import { TokenInterval } from '../../../src/engine/token-interval.ts';

test('texts that arrive together share the time since the previous one of their sequence', () => {
  const observed: number[] = [];
  const interval = new TokenInterval((ms) => observed.push(ms));
  interval.note([1, 2], 100);
  interval.note([1], 130);
  expect(observed).toEqual([30]);
  interval.note([1, 2, 1], 150);
  expect(observed).toEqual([30, 10, 10, 50]);
  interval.forget(1);
  interval.note([1], 200);
  expect(observed).toHaveLength(4);
});
