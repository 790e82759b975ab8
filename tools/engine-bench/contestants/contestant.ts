/** One round of work: so many streams at once, all of the same size. */
export interface Workload {
  readonly streamCount: number;
  readonly promptTokenCount: number;
  readonly completionTokenCount: number;
}

/** What a round took, and what was really done: totals of all streams. */
export interface Measurement {
  /** From the first request sent to the last token received. */
  readonly seconds: number;
  readonly promptTokenCount: number;
  readonly completionTokenCount: number;
  /** Share of the engine's steps outside `llama_decode`, 0 to 1; only who counts it tells. */
  readonly outsideDecodeRatio?: number;
}

/** Something that generates tokens, ready to be measured. It sleeps between rounds. */
export interface Contestant {
  readonly name: string;
  /** Runs every stream of the workload at once, greedily, past any end of generation. */
  run(workload: Workload): Promise<Measurement>;
  close(): Promise<void>;
}

/** Seconds a piece of work takes. */
export async function secondsOf(work: () => Promise<void>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return (performance.now() - startedAt) / 1000;
}

/** @throws {Error} unless exactly the tokens of the workload were processed and generated */
export function checkCounts(name: string, workload: Workload, measurement: Measurement): void {
  const { streamCount } = workload;
  for (const key of ['promptTokenCount', 'completionTokenCount'] as const) {
    const expected = streamCount * workload[key];
    if (measurement[key] !== expected) {
      throw new Error(
        `${name}: ${key} of ${streamCount} streams is ${measurement[key]}, not ${expected}`,
      );
    }
  }
}
