/** Statistics of a list of measurements; every number is null for an empty list. */
export interface Stats {
  readonly min: number | null;
  readonly max: number | null;
  readonly mean: number | null;
  readonly p50: number | null;
  readonly p95: number | null;
  readonly p99: number | null;
  readonly count: number;
}

/** The reported percentiles. */
export const percentiles = ['p50', 'p95', 'p99'] as const;

/** Percentiles by nearest rank: each is a measured value. */
export function statsOf(values: readonly number[]): Stats {
  const sorted = Float64Array.from(values).sort();
  const count = sorted.length;
  if (count === 0) {
    return { min: null, max: null, mean: null, p50: null, p95: null, p99: null, count };
  }
  return {
    min: nearestRank(sorted, 0),
    max: nearestRank(sorted, 100),
    mean: sorted.reduce((sum, value) => sum + value, 0) / count,
    p50: nearestRank(sorted, 50),
    p95: nearestRank(sorted, 95),
    p99: nearestRank(sorted, 99),
    count,
  };
}

/** By nearest rank, as {@link statsOf}; NaN of an empty list. */
export function percentileOf(values: readonly number[], percent: number): number {
  return nearestRank(Float64Array.from(values).sort(), percent);
}

/** The mean of the two middle values of an even number; NaN of an empty list. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const upper = Math.floor(sorted.length / 2);
  const lower = Math.ceil(sorted.length / 2) - 1;
  return ((sorted[lower] ?? NaN) + (sorted[upper] ?? NaN)) / 2;
}

export function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** The minimum value that at least `percent` of all values do not exceed. */
function nearestRank(sorted: Float64Array, percent: number): number {
  const rank = Math.ceil((percent / 100) * sorted.length);
  return sorted[Math.max(rank, 1) - 1] ?? NaN;
}
