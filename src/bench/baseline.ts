import { readFileSync } from 'node:fs';
import { failureText } from '../core/failure-text.ts';
import { StartError } from '../core/start-error.ts';
import { isRecord } from './failure.ts';
import { type RunRecord, recordVersion } from './record.ts';

/** The server of an earlier JSON report; its runs are known to be objects, no more. */
export interface Baseline {
  readonly path: string;
  /** Null when its requests named none. */
  readonly model: unknown;
  readonly runs: readonly Readonly<Record<string, unknown>>[];
}

/** One number in the baseline and now. */
export interface Change {
  /** Which run: `unique, concurrency 4, 512 tokens in`. */
  readonly run: string;
  readonly metric: string;
  readonly before: number;
  readonly after: number;
  /** Above 0 is worse, for every kind of number. */
  readonly worsePercent: number;
}

export interface BaselineComparison {
  readonly path: string;
  readonly changes: readonly Change[];
  /** Runs that could not be compared, or only with care. */
  readonly remarks: readonly string[];
}

/** The compared numbers: their place in a run, and whether more is better. */
const metrics = [
  { name: 'ttft p50', path: ['ttft', 'p50'], better: 'lower' },
  { name: 'ttft p95', path: ['ttft', 'p95'], better: 'lower' },
  { name: 'inter_token p50', path: ['inter_token', 'p50'], better: 'lower' },
  { name: 'inter_token p95', path: ['inter_token', 'p95'], better: 'lower' },
  { name: 'total_latency p50', path: ['total_latency', 'p50'], better: 'lower' },
  { name: 'decode_tokens_per_sec p50', path: ['decode_tokens_per_sec', 'p50'], better: 'higher' },
  { name: 'throughput_tokens_per_sec', path: ['throughput_tokens_per_sec'], better: 'higher' },
] as const;

/** Two runs are of the same kind when these are equal. */
const identity = [
  'workload',
  'prompt',
  'concurrency',
  'rate',
  'prompt_tokens_wanted',
  'prefix_tokens_wanted',
  'turns',
  'max_tokens',
  'ignore_eos',
] as const satisfies readonly (keyof RunRecord)[];

/**
 * Reads a report that `--output json` wrote.
 * @throws {StartError} exit code 2 when the file is not such a report
 */
export function readBaseline(path: string): Baseline {
  let record: unknown;
  try {
    record = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    const reason = error instanceof SyntaxError ? 'it is not valid JSON' : failureText(error);
    throw new StartError(2, `--baseline ${path} cannot be read: ${reason}`);
  }
  if (!isRecord(record) || record.schema_version !== recordVersion || !Array.isArray(record.runs)) {
    throw new StartError(
      2,
      `--baseline ${path} is not a report of this version: create one with --output json`,
    );
  }
  const runs = record.runs.filter(isRecord).filter(({ target }) => target === 'server');
  const targets: readonly unknown[] = Array.isArray(record.targets) ? record.targets : [];
  const server = targets.filter(isRecord).find(({ name }) => name === 'server');
  return { path, model: server?.model ?? null, runs };
}

/**
 * Compares the runs of the server, not of its peer, with the runs of the baseline.
 * @param model - the id the requests named; null when they named none
 */
export function compareWithBaseline(
  { path, model: earlierModel, runs: earlierRuns }: Baseline,
  model: string | null,
  runs: readonly RunRecord[],
): BaselineComparison {
  const changes: Change[] = [];
  const remarks: string[] = [];
  if (earlierModel !== model) {
    remarks.push(
      `its model was ${JSON.stringify(earlierModel)}, this one is ${JSON.stringify(model)}`,
    );
  }
  for (const run of runs.filter(({ target }) => target === 'server')) {
    const earlier = earlierRuns.find((each) => identity.every((key) => each[key] === run[key]));
    const name = runName(run);
    if (earlier === undefined) {
      remarks.push(`it has no such run: ${name}`);
      continue;
    }
    for (const metric of metrics) {
      const [before, after] = [numberAt(earlier, metric.path), numberAt(run, metric.path)];
      if (before === undefined || after === undefined || before <= 0) continue;
      const growth = (after / before - 1) * 100;
      const worsePercent = metric.better === 'lower' ? growth : -growth;
      changes.push({ run: name, metric: metric.name, before, after, worsePercent });
    }
  }
  return { path, changes, remarks };
}

/** The comparison as the JSON report holds it. */
export function toBaselineRecord({ path, changes, remarks }: BaselineComparison) {
  return {
    file: path,
    remarks,
    changes: changes.map(({ worsePercent, ...change }) => ({
      ...change,
      worse_percent: worsePercent,
    })),
  };
}

function runName({ workload, concurrency, rate, prompt_tokens_wanted: size }: RunRecord): string {
  const load = concurrency === null ? `rate ${rate}/s` : `concurrency ${concurrency}`;
  return `${workload}, ${load}${size === null ? '' : `, ${size} tokens in`}`;
}

function numberAt(run: unknown, path: readonly string[]): number | undefined {
  let value = run;
  for (const key of path) value = isRecord(value) ? value[key] : undefined;
  return typeof value === 'number' ? value : undefined;
}
