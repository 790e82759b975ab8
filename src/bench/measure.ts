import { setMaxListeners } from 'node:events';
import { type Cell, cellsOf, cellText } from './cell.ts';
import { CellRunner, defaultRequestCount } from './cell-runner.ts';
import { type EndpointProbe, probedPaths, probeEndpoint } from './gateway-probe.ts';
import type { LoadRun } from './load.ts';
import type { BenchOptions, ServerOptions } from './options.ts';
import type { Progress } from './progress.ts';
import { type RunSummary, summarise } from './summary.ts';
import { Target, type TargetName } from './target.ts';
import type { WordScale } from './workload.ts';

/** All measurements. */
export interface BenchResult {
  readonly startedAt: Date;
  readonly options: BenchOptions;
  /** The server under test first, then its peer, if there is one. */
  readonly targets: readonly TargetResult[];
  /** Whether a signal ended it early. */
  readonly isInterrupted: boolean;
}

export interface TargetResult {
  readonly name: TargetName;
  readonly url: string;
  readonly modelId: string | undefined;
  readonly notes: readonly string[];
  readonly gateway: readonly EndpointProbe[];
  /** One for each cell that has run, in the same order for all targets. */
  readonly runs: readonly RunSummary[];
}

const fixedScale: WordScale = { tokensPerWord: 1, templateTokenCount: 0 };

/**
 * Runs all cells of the options. The servers take turns in each round, and alternate in going first, so that a machine
 * that slows down affects both.
 * @throws {StartError} when a server cannot be reached
 */
export async function measure(
  options: BenchOptions,
  signal: AbortSignal,
  progress: Progress,
): Promise<BenchResult> {
  const startedAt = new Date();
  // One for each request under way.
  setMaxListeners(0, signal);
  const targets = await connectAll(options, signal, progress);
  try {
    const steps = new Steps(options, targets.length, progress);
    const gateway = new Map<Target, EndpointProbe[]>();
    for (const target of targets) {
      gateway.set(target, await probeGateway(target, options, signal, steps));
    }
    const runs = options.gatewayOnly
      ? new Map<Target, RunSummary[]>()
      : await runCells(options, targets, signal, steps);
    return {
      startedAt,
      options,
      isInterrupted: signal.aborted,
      targets: targets.map((target) => ({
        name: target.name,
        url: target.client.baseUrl,
        modelId: target.modelId,
        notes: [...target.notes, ...(target.name === 'server' ? notesOn(options) : [])],
        gateway: gateway.get(target) ?? [],
        runs: runs.get(target) ?? [],
      })),
    };
  } finally {
    for (const target of targets) target.client.close();
  }
}

async function connectAll(
  options: BenchOptions,
  signal: AbortSignal,
  progress: Progress,
): Promise<Target[]> {
  const targets: Target[] = [];
  const connect = async (name: TargetName, server: ServerOptions) => {
    progress.update(0, `looking for the ${name}`);
    const { timeoutMs, ignoreEos } = options;
    const targetOptions = { ...server, name, timeoutMs, ignoreEos };
    targets.push(
      options.gatewayOnly
        ? await Target.reach(targetOptions, signal)
        : await Target.connect(targetOptions, signal),
    );
  };
  try {
    await connect('server', options.server);
    if (options.peer !== undefined) await connect('peer', options.peer);
    return targets;
  } catch (error) {
    for (const target of targets) target.client.close();
    throw error;
  }
}

async function probeGateway(
  target: Target,
  options: BenchOptions,
  signal: AbortSignal,
  steps: Steps,
): Promise<EndpointProbe[]> {
  const requestCount = options.requestCount ?? defaultRequestCount;
  const { warmupCount } = options;
  const probes: EndpointProbe[] = [];
  for (const path of probedPaths) {
    if (signal.aborted) break;
    const step = steps.next(`${target.name}, ${path}`);
    let doneCount = 0;
    const onRequest = () => {
      doneCount += 1;
      step(doneCount / (requestCount + warmupCount));
    };
    probes.push(
      await probeEndpoint(target.client, path, { requestCount, warmupCount, signal, onRequest }),
    );
  }
  return probes;
}

async function runCells(
  options: BenchOptions,
  targets: readonly Target[],
  signal: AbortSignal,
  steps: Steps,
): Promise<Map<Target, RunSummary[]>> {
  const runs = new Map<Target, RunSummary[]>(targets.map((target) => [target, []]));
  const scales = new Map<string, WordScale>();
  for (const [cellIndex, cell] of cellsOf(options).entries()) {
    const rounds = new Map<Target, LoadRun[]>(targets.map((target) => [target, []]));
    for (let round = 0; round < options.roundCount; round++) {
      for (let turn = 0; turn < targets.length && !signal.aborted; turn++) {
        const target = targets[(turn + round) % targets.length];
        if (target === undefined) continue;
        const scaleKey = `${target.name} ${cell.promptTokenCount}`;
        const scale = scales.get(scaleKey) ?? (await scaleOf(target, cell, options, signal));
        scales.set(scaleKey, scale);
        const runner = new CellRunner({ options, target, cell, cellIndex, scale, signal });
        const roundText =
          options.roundCount > 1 ? `, round ${round + 1}/${options.roundCount}` : '';
        const step = steps.next(`${target.name}, ${cellText(cell)}${roundText}`);
        if (round === 0) await runner.warmUp();
        rounds.get(target)?.push(await runner.run(round, step));
      }
    }
    for (const [target, own] of rounds) {
      const summary = summarise(cell, own);
      if (summary.requestCount > 0) runs.get(target)?.push(summary);
    }
  }
  return runs;
}

async function scaleOf(
  target: Target,
  { promptTokenCount }: Cell,
  { seed }: BenchOptions,
  signal: AbortSignal,
): Promise<WordScale> {
  if (promptTokenCount === undefined) return fixedScale;
  return await target.measureWords(promptTokenCount, `${seed}/scale`, signal);
}

/** Converts the progress of steps to the progress of the whole; each step counts the same. */
class Steps {
  readonly #progress: Progress;
  readonly #stepCount: number;
  #startedCount = 0;

  constructor(options: BenchOptions, targetCount: number, progress: Progress) {
    const cellCount = options.gatewayOnly ? 0 : cellsOf(options).length * options.roundCount;
    this.#stepCount = targetCount * (probedPaths.length + cellCount);
    this.#progress = progress;
  }

  /** Starts the next step. Returns a function that takes the progress of that step, 0 to 1. */
  next(task: string): (ratio: number) => void {
    const doneCount = this.#startedCount;
    this.#startedCount += 1;
    const update = (ratio: number) =>
      this.#progress.update((doneCount + Math.min(1, ratio)) / this.#stepCount, task);
    update(0);
    return update;
  }
}

function notesOn({ requestCount, loads }: BenchOptions): string[] {
  const maxConcurrency = Math.max(
    0,
    ...loads.map((load) => (load.kind === 'closed' ? load.concurrency : 0)),
  );
  if (requestCount === undefined || requestCount >= maxConcurrency) return [];
  return [
    `${requestCount} requests never make a concurrency of ${maxConcurrency}: raise --requests`,
  ];
}
