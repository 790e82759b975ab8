import type { Cell } from './cell.ts';
import { type Load, type LoadLimit, type LoadRun, runLoad } from './load.ts';
import type { BenchOptions } from './options.ts';
import { SeededRandom } from './seeded-random.ts';
import type { Target } from './target.ts';
import { createWorkload, type WordScale, type Workload } from './workload.ts';

/** Requests of a step without a given number or duration. */
export const defaultRequestCount = 10;

export interface CellInput {
  readonly options: BenchOptions;
  readonly target: Target;
  readonly cell: Cell;
  readonly cellIndex: number;
  readonly scale: WordScale;
  readonly signal: AbortSignal;
}

/** One cell on one server. */
export class CellRunner {
  readonly #input: CellInput;

  constructor(input: CellInput) {
    this.#input = input;
  }

  async warmUp(): Promise<void> {
    const { warmupCount } = this.#input.options;
    if (warmupCount === 0) return;
    const { load } = this.#input.cell;
    const concurrency = load.kind === 'closed' ? Math.min(load.concurrency, warmupCount) : 1;
    await this.#runOnce(
      'warm-up',
      { kind: 'closed', concurrency },
      { requestCount: warmupCount, durationMs: undefined },
    );
  }

  /** @param onProgress - receives the progress of the round, 0 to 1 */
  async run(round: number, onProgress: (ratio: number) => void): Promise<LoadRun> {
    const { options, cell } = this.#input;
    const limit = limitOf(options, cell.load);
    const startedAtMs = performance.now();
    let doneCount = 0;
    return await this.#runOnce(`round ${round}`, cell.load, limit, () => {
      doneCount += 1;
      onProgress(
        Math.max(
          doneCount / (limit.requestCount ?? Number.POSITIVE_INFINITY),
          (performance.now() - startedAtMs) / (limit.durationMs ?? Number.POSITIVE_INFINITY),
        ),
      );
    });
  }

  #runOnce(key: string, load: Load, limit: LoadLimit, onSample?: () => void): Promise<LoadRun> {
    const { options, target, cellIndex, signal } = this.#input;
    const seed = `${options.seed}/${cellIndex}/${key}`;
    return runLoad({
      load,
      limit,
      workload: this.#workload(seed),
      requestsPerSession: options.workload === 'multi-turn' ? options.turnCount : 1,
      random: new SeededRandom(`${seed}/arrivals`),
      send: (messages, intendedAtMs) =>
        target.chat(messages, options.maxTokens, {
          signal,
          ...(intendedAtMs !== undefined && { intendedAtMs }),
        }),
      signal,
      ...(onSample !== undefined && { onSample }),
    });
  }

  #workload(seed: string): Workload {
    const { options, target, cell, scale } = this.#input;
    return createWorkload({
      name: options.workload,
      prompt: options.prompt,
      promptTokenCount: cell.promptTokenCount ?? 0,
      prefixTokenCount: options.prefixTokenCount,
      turnCount: options.turnCount,
      scale,
      seed,
      mark: target.name,
    });
  }
}

function limitOf({ requestCount, durationMs }: BenchOptions, load: Load): LoadLimit {
  if (requestCount !== undefined || durationMs !== undefined) return { requestCount, durationMs };
  const concurrency = load.kind === 'closed' ? load.concurrency : 0;
  return { requestCount: Math.max(defaultRequestCount, concurrency), durationMs };
}
