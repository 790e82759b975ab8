import { describe, expect, it } from 'vitest';
import { median, statsOf } from '../../../src/bench/statistics.ts';
import { toTable } from '../../../src/terminal/table.ts';

describe('statsOf', () => {
  it('takes percentiles by nearest rank, so that each is a value that was measured', () => {
    const values = Array.from({ length: 100 }, (_, index) => 100 - index);
    expect(statsOf(values)).toEqual({
      ...{ min: 1, max: 100, mean: 50.5, p50: 50, p95: 95, p99: 99 },
      count: 100,
    });
  });

  it('rounds the rank up where it falls between two values', () => {
    // 0.5 x 5 = 2.5, 0.95 x 5 = 4.75
    expect(statsOf([10, 20, 30, 40, 50])).toMatchObject({ p50: 30, p95: 50, p99: 50 });
    expect(statsOf([10, 20])).toMatchObject({ p50: 10, p95: 20 });
  });

  it('sorts by size, not by text', () => {
    expect(statsOf([9, 100, 20])).toMatchObject({ min: 9, p50: 20, max: 100 });
  });

  it('gives null rather than a number for nothing', () => {
    expect(statsOf([])).toEqual({
      ...{ min: null, max: null, mean: null, p50: null, p95: null, p99: null },
      count: 0,
    });
  });
});

describe('median', () => {
  it('is between the two in the middle', () => {
    expect(median([4, 1, 3, 2])).toBe(2.5);
    expect(median([3, 1, 2])).toBe(2);
    expect(median([])).toBeNaN();
  });
});

describe('toTable', () => {
  it('lines its columns up, the first to the left', () => {
    expect(
      toTable([
        ['load', 'ms'],
        ['1', '12.5'],
        ['long one', '3'],
      ]),
    ).toBe('| load     |   ms |\n| -------- | ---: |\n| 1        | 12.5 |\n| long one |    3 |');
  });
});
