import type { Load } from './load.ts';

/** One cell of a sweep. */
export interface Cell {
  readonly load: Load;
  /** Undefined for the fixed prompt. */
  readonly promptTokenCount: number | undefined;
}

interface SweepOptions {
  readonly promptTokenCounts: readonly Cell['promptTokenCount'][];
  readonly loads: readonly Load[];
}

/** Cells of the sweep: every prompt length with every load. */
export function cellsOf({ promptTokenCounts, loads }: SweepOptions): Cell[] {
  return promptTokenCounts.flatMap((promptTokenCount) =>
    loads.map((load) => ({ load, promptTokenCount })),
  );
}

/** The cell in a few words: `concurrency=4, 512 tokens in`. */
export function cellText({ load, promptTokenCount }: Cell): string {
  const size = promptTokenCount === undefined ? '' : `, ${promptTokenCount} tokens in`;
  return loadText(load) + size;
}

/** The load in a few words: `concurrency=4`, `rate=2/s`. */
export function loadText(load: Load): string {
  return load.kind === 'closed'
    ? `concurrency=${load.concurrency}`
    : `rate=${load.requestsPerSecond}/s`;
}
