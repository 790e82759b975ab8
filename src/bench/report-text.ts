import { neutralise } from '../log/log.ts';
import { toTable } from '../terminal/table.ts';
import type { BaselineComparison } from './baseline.ts';
import { cellText, loadText } from './cell.ts';
import { type FailureGroup, failureName } from './failure.ts';
import type { EndpointProbe } from './gateway-probe.ts';
import type { BenchResult, TargetResult } from './measure.ts';
import { baselineRows, msText, peerRows, rateText, secondsText } from './report-rows.ts';
import { percentiles, type Stats } from './statistics.ts';
import { clientWarning, type RunSummary } from './summary.ts';

/**
 * The report for a terminal: first the blocks of the Python gateway's benchmark, one for each run, then
 * tables over all of them.
 */
export function renderText(result: BenchResult, baseline: BaselineComparison | undefined): string {
  const { targets, options } = result;
  const sections = [
    ...targets.flatMap((target) => [
      gatewaySection(target),
      ...target.runs.map((run) => runSection(target, run)),
    ]),
    ...(targets.some(({ runs }) => runs.length > 1) || targets.length > 1
      ? targets.map(sweepSection)
      : []),
    peerSection(targets),
    baseline === undefined ? '' : baselineSection(baseline),
    notesSection(targets),
    result.isInterrupted ? 'Interrupted: this is what was done until then.' : '',
    options.gatewayOnly ? '' : `Seed: ${options.seed}`,
  ];
  const text = sections.filter((section) => section !== '').join('\n\n');
  // Messages, names and paths come from outside.
  return `${text.split('\n').map(neutralise).join('\n')}\n`;
}

function gatewaySection(target: TargetResult): string {
  if (target.gateway.length === 0) return '';
  return [`=== ${ofPeer(target)}Gateway Overhead ===`, ...target.gateway.map(endpointLine)].join(
    '\n',
  );
}

function endpointLine({ path, latencyMs, failures, isAbsent }: EndpointProbe): string {
  const label = `${path} latency:`.padEnd(18);
  if (isAbsent) return `${label}not there (404)`;
  const failed = failures.map((group) => `, ${group.count} failed: ${failureName(group)}`).join('');
  return `${label}${percentileText(latencyMs, msText)}${failed}`;
}

function runSection(target: TargetResult, run: RunSummary): string {
  const size = run.cell.promptTokenCount;
  const what = [
    loadText(run.cell.load),
    `requests=${run.requestCount}`,
    ...(size === undefined ? [] : [`prompt-tokens=${size}`]),
  ].join(', ');
  const { tokens } = run;
  const warning = clientWarning(run);
  return [
    `=== ${ofPeer(target)}Inference Performance (${what}) ===`,
    line('Time to first token', percentileText(run.ttftMs, msText)),
    line('Inter-token time', percentileText(run.interTokenMs, msText)),
    line('Longest pause', percentileText(run.longestPauseMs, msText)),
    line('Tokens/sec', rateStatsText(run.tokensPerSecond)),
    line('Decode tokens/sec', rateStatsText(run.decodeTokensPerSecond)),
    ...optionalRate('Prefill tokens/sec', run.prefillTokensPerSecond),
    ...optionalRate('Server says: decode', run.serverDecodeTokensPerSecond),
    ...optionalRate('Server says: prefill', run.serverPrefillTokensPerSecond),
    line('Total latency', percentileText(run.totalMs, secondsText)),
    line(
      'Throughput',
      `${rateText(run.throughputTokensPerSecond)} tokens/s, ${run.requestsPerSecond.toFixed(2)} requests/s`,
    ),
    line(
      'Tokens',
      `${tokens.promptSum} prompt (${tokens.cachedSum} cached), ${tokens.completionSum} completion, counted by ${tokens.countedBy}`,
    ),
    ...tokensPerDeltaLine(tokens.tokensPerDelta),
    ...(warning === undefined ? [] : [line('Careful', warning)]),
    ...run.turns.map(({ turn, ttftMs }) =>
      line(`First token, turn ${turn}`, percentileText(ttftMs, msText)),
    ),
    '',
    `Requests: ${run.requestCount} total, ${run.successCount} success, ${run.failedCount} failed`,
    ...run.failures.map(failureLine),
    `Total time: ${secondsText(run.wallMs)}`,
  ].join('\n');
}

function line(label: string, text: string): string {
  return `${`${label}:`.padEnd(22)}${text}`;
}

function percentileText(stats: Stats, show: (ms: number | null) => string): string {
  return percentiles.map((name) => `${show(stats[name])} (${name})`).join(', ');
}

function rateStatsText({ mean, p50, min }: Stats): string {
  return `${rateText(mean)} (mean), ${rateText(p50)} (p50), ${rateText(min)} (min)`;
}

function optionalRate(label: string, stats: Stats): string[] {
  return stats.count === 0 ? [] : [line(label, rateStatsText(stats))];
}

/** Only where deltas contain several tokens: inter-token times are then not times of single tokens. */
function tokensPerDeltaLine(ratio: number | null): string[] {
  if (ratio === null || Math.abs(ratio - 1) < 0.1) return [];
  return [line('Tokens per delta', `${ratio.toFixed(2)}; inter-token times are per delta`)];
}

function failureLine(group: FailureGroup): string {
  return `  ${group.count} x ${failureName(group)}: ${group.message}`;
}

function sweepSection(target: TargetResult): string {
  if (target.runs.length === 0) return '';
  const heading = ['load', 'ttft p50', 'p95', 'p99', 'inter-token p50', 'p95', 'p99'];
  const rows = target.runs.map((run) => [
    cellText(run.cell),
    ...percentiles.map((name) => msText(run.ttftMs[name])),
    ...percentiles.map((name) => msText(run.interTokenMs[name])),
    rateText(run.decodeTokensPerSecond.p50),
    rateText(run.throughputTokensPerSecond),
    String(run.failedCount),
  ]);
  const title = target.name === 'peer' ? '=== Peer: Sweep ===' : '=== Sweep ===';
  return `${title}\n${toTable([[...heading, 'decode tok/s', 'throughput tok/s', 'failed'], ...rows])}`;
}

function peerSection(targets: readonly TargetResult[]): string {
  const [heading, ...rows] = peerRows(targets);
  if (heading === undefined || rows.length === 0) return '';
  return `=== Server ÷ Peer (medians of the rounds) ===\n${toTable([heading, ...rows])}`;
}

function baselineSection(comparison: BaselineComparison): string {
  return [
    `=== Against ${comparison.path} ===`,
    ...(comparison.changes.length === 0 ? [] : [toTable(baselineRows(comparison))]),
    ...comparison.remarks,
  ].join('\n');
}

function notesSection(targets: readonly TargetResult[]): string {
  const notes = targets.flatMap(({ name, notes }) => notes.map((note) => `${name}: ${note}`));
  return notes.map((note) => `Note: ${note}`).join('\n');
}

function ofPeer({ name }: TargetResult): string {
  return name === 'peer' ? 'Peer: ' : '';
}
