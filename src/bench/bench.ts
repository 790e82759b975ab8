/** `llama-gguf-inference bench`: measures a server over HTTP, as its clients see it. */
import { accessSync, constants, writeFileSync } from 'node:fs';
import { dirname, extname } from 'node:path';
import { failureText } from '../core/failure-text.ts';
import { StartError } from '../core/start-error.ts';
import { neutralise } from '../log/log.ts';
import {
  type BaselineComparison,
  compareWithBaseline,
  readBaseline,
  toBaselineRecord,
} from './baseline.ts';
import { cellText } from './cell.ts';
import { failureName } from './failure.ts';
import { benchHelpText, type OutputFormat } from './flags.ts';
import { type BenchResult, measure, type TargetResult } from './measure.ts';
import { type BenchKeys, type BenchOptions, parseBenchOptions } from './options.ts';
import { createProgress, type Progress } from './progress.ts';
import { toRecord, toRunRecords } from './record.ts';
import { renderHtml } from './report-html.ts';
import { renderText } from './report-text.ts';
import { errorRatio } from './summary.ts';

export interface BenchInput {
  readonly argv: readonly string[];
  readonly keys: BenchKeys;
  /** Ends the measurement early; finished runs are reported. */
  readonly stop: AbortSignal;
}

const formatByExtension: Readonly<Record<string, OutputFormat>> = {
  '.json': 'json',
  '.html': 'html',
  '.htm': 'html',
  '.txt': 'text',
};

const silent: Progress = { update() {}, end() {} };

/**
 * Measures and reports. Returns the exit code: 1 when requests failed or a number got worse than allowed; standard error
 * says which.
 * @throws {StartError} wrong flags, or no server to measure
 */
export async function runBench({ argv, keys, stop }: BenchInput): Promise<number> {
  if (argv.includes('--help') || argv.includes('-h')) {
    await print(benchHelpText());
    return 0;
  }
  const options = parseBenchOptions(argv, keys);
  const baseline =
    options.baselinePath === undefined ? undefined : readBaseline(options.baselinePath);
  for (const path of options.outputFiles) checkFolder(path);
  const progress = showsProgress(options) ? createProgress() : silent;
  let result: BenchResult;
  try {
    result = await measure(options, stop, progress);
  } catch (error) {
    if (stop.aborted) throw new StartError(1, 'stopped before anything was measured');
    throw error;
  } finally {
    progress.end();
  }
  const comparison =
    baseline === undefined
      ? undefined
      : compareWithBaseline(baseline, result.targets[0]?.modelId ?? null, toRunRecords(result));
  await report(result, comparison);
  const problems = problemsOf(result, comparison);
  for (const problem of problems) process.stderr.write(`bench: ${neutralise(problem)}\n`);
  return problems.length === 0 ? 0 : 1;
}

/** Progress lines would disturb a reader of both streams beside JSON or HTML; a bar does not. */
function showsProgress({ output, outputFiles }: BenchOptions): boolean {
  return output === 'text' || outputFiles.length > 0 || process.stderr.isTTY === true;
}

/** Fails before the measurement, not after it. */
function checkFolder(path: string): void {
  try {
    accessSync(dirname(path), constants.W_OK);
  } catch (error) {
    throw new StartError(2, `--output-file ${path} cannot be written: ${failureText(error)}`);
  }
}

async function report(
  result: BenchResult,
  comparison: BaselineComparison | undefined,
): Promise<void> {
  const { output, outputFiles } = result.options;
  for (const path of outputFiles) {
    const format = formatByExtension[extname(path).toLowerCase()] ?? output;
    try {
      writeFileSync(path, render(format, result, comparison));
    } catch (error) {
      process.stderr.write(`bench: ${neutralise(path)} cannot be written: ${failureText(error)}\n`);
      // A failed write must not lose the measurement.
      await print(render(format, result, comparison));
      throw new StartError(1, 'the report went to standard output instead');
    }
  }
  await print(render(outputFiles.length > 0 ? 'text' : output, result, comparison));
}

function render(
  format: OutputFormat,
  result: BenchResult,
  comparison: BaselineComparison | undefined,
): string {
  switch (format) {
    case 'text':
      return renderText(result, comparison);
    case 'json': {
      const baseline = comparison === undefined ? undefined : toBaselineRecord(comparison);
      return `${JSON.stringify(toRecord(result, baseline), null, 2)}\n`;
    }
    case 'html':
      return renderHtml(result, comparison);
    default:
      return format satisfies never;
  }
}

/** The reasons why the exit code is not 0, one sentence each. */
function problemsOf(
  { options, targets, isInterrupted }: BenchResult,
  comparison: BaselineComparison | undefined,
): string[] {
  const problems = targets.flatMap((target) => [
    ...gatewayProblems(target, options),
    ...runProblems(target, options),
  ]);
  if (!options.gatewayOnly && !isInterrupted && targets.some(({ runs }) => runs.length === 0)) {
    problems.push('no request was sent');
  }
  const allowed = options.failAbovePercent;
  if (comparison !== undefined && allowed !== undefined) {
    for (const { run, metric, worsePercent } of comparison.changes) {
      if (worsePercent <= allowed) continue;
      problems.push(
        `${run}: ${metric} is ${worsePercent.toFixed(1)}% worse than the baseline, ${allowed}% is allowed`,
      );
    }
  }
  return problems;
}

function runProblems({ name, runs }: TargetResult, { maxErrorRatio }: BenchOptions): string[] {
  return runs.flatMap((run) => {
    const { failures, failedCount, requestCount } = run;
    if (errorRatio(run) <= maxErrorRatio) return [];
    const causes = failures.map((group) => `${group.count} x ${failureName(group)}`).join(', ');
    return `${name}, ${cellText(run.cell)}: ${failedCount} of ${requestCount} requests failed (${causes})`;
  });
}

/** A server may lack these endpoints; an existing endpoint must answer. */
function gatewayProblems(
  { name, gateway }: TargetResult,
  { gatewayOnly, maxErrorRatio }: BenchOptions,
): string[] {
  if (gatewayOnly && gateway.length > 0 && gateway.every(({ isAbsent }) => isAbsent)) {
    return [`${name}: it has neither /ping nor /health`];
  }
  return gateway.flatMap(({ path, latencyMs, failures, isAbsent }) => {
    const failedCount = failures.reduce((total, { count }) => total + count, 0);
    const requestCount = failedCount + latencyMs.count;
    if (isAbsent || failedCount <= maxErrorRatio * requestCount) return [];
    return `${name}: ${failedCount} of ${requestCount} requests of ${path} failed`;
  });
}

/** Resolves once the text is written: the process ends right after, and a pipe may be slow. */
function print(text: string): Promise<void> {
  return new Promise((resolve) => {
    // The reader has closed the pipe, as `head` does.
    process.stdout.once('error', () => resolve());
    process.stdout.write(text, () => resolve());
  });
}
