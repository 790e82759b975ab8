/** One round of work: concurrent streams of the same size. */
export interface Workload {
  readonly streamCount: number;
  readonly promptTokenCount: number;
  readonly completionTokenCount: number;
}

/** Duration and token counts of one round, summed over all streams. */
export interface Measurement {
  /** From the first request sent to the last token received. */
  readonly seconds: number;
  readonly promptTokenCount: number;
  readonly completionTokenCount: number;
  /** Share of the engine's step time outside `llama_decode`, 0 to 1; absent for contestants that do not measure it. */
  readonly outsideDecodeRatio?: number;
}

/** A started generator of tokens. It sleeps between rounds. */
export interface Contestant {
  readonly name: string;
  /** Runs all streams of the workload at once, greedily, and ignores the end of generation. */
  run(workload: Workload): Promise<Measurement>;
  close(): Promise<void>;
}

/** Duration of `work`, in seconds. */
export async function secondsOf(work: () => Promise<void>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return (performance.now() - startedAt) / 1000;
}

/** @throws {Error} if the counts of tokens differ from the workload's */
export function checkCounts(name: string, workload: Workload, measurement: Measurement): void {
  const { streamCount } = workload;
  for (const key of ['promptTokenCount', 'completionTokenCount'] as const) {
    const expected = streamCount * workload[key];
    if (measurement[key] !== expected) {
      throw new Error(
        `${name}: ${key} of ${streamCount} streams is ${measurement[key]}, expected ${expected}`,
      );
    }
  }
}
