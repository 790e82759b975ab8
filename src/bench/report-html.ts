import { programVersion } from '../core/package-info.ts';
import type { BaselineComparison } from './baseline.ts';
import { type Cell, cellText } from './cell.ts';
import { type BarSeries, barChart, escapeHtml, type Point, scatterChart } from './chart.ts';
import { failureName } from './failure.ts';
import { describeMachine } from './machine.ts';
import type { BenchResult, TargetResult } from './measure.ts';
import { baselineRows, msText, peerRows, rateText, secondsText } from './report-rows.ts';
import { percentiles, type Stats } from './statistics.ts';
import { clientWarning, type RunSummary } from './summary.ts';

/** Maximum number of dots of one server in a chart over time; of more requests, every n-th is drawn. */
const maxDotCount = 1000;

const style = `
:root { color-scheme: light dark; --text: #1c2024; --muted: #60646c; --line: #d9d9e0; --page: #fff;
  --server: #2563b0; --peer: #c2640c; --bad: #c62a2f; }
@media (prefers-color-scheme: dark) { :root { --text: #edeef0; --muted: #b0b4ba; --line: #43484e;
  --page: #16181b; --server: #70b8ff; --peer: #ffa057; --bad: #ff9592; } }
body { margin: 0 auto; max-width: 84rem; padding: 1.5rem; background: var(--page); color: var(--text);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
p, dd, dt { margin: .2rem 0; } .muted { color: var(--muted); } .bad { color: var(--bad); }
code, pre { font: 13px/1.45 ui-monospace, monospace; }
pre { overflow-x: auto; border: 1px solid var(--line); border-radius: 6px; padding: .6rem; }
.charts { display: grid; gap: 1.25rem; grid-template-columns: repeat(auto-fit, minmax(min(30rem, 100%), 1fr)); }
figure { margin: 0; border: 1px solid var(--line); border-radius: 8px; padding: .75rem; }
figcaption { font-weight: 600; } figure > svg { display: block; width: 100%; height: auto; }
svg text { fill: var(--muted); font-size: 11px; } .grid { stroke: var(--line); }
.server { fill: var(--server); } .peer { fill: var(--peer); } .failed { fill: var(--bad); }
.p50 { fill-opacity: 1; } .p95 { fill-opacity: .65; } .p99 { fill-opacity: .35; } circle { fill-opacity: .6; }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1rem; list-style: none; margin: 0; padding: 0;
  font-size: 13px; } .legend svg { width: 10px; height: 10px; margin-right: .4rem; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid var(--line); padding: .25rem .75rem .25rem 0; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0 1rem; } dt { color: var(--muted); }
`;

/** A self-contained page with styles and charts, without scripts. */
export function renderHtml(result: BenchResult, baseline: BaselineComparison | undefined): string {
  const { targets } = result;
  const sections = [
    header(result),
    chartSection(targets),
    runTable(targets),
    gatewayTable(targets),
    peerTable(targets),
    baseline === undefined ? '' : baselineTable(baseline),
    failureTable(targets),
    notesList(targets),
    environmentSection(result),
  ];
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Benchmark of ${escapeHtml(targets[0]?.modelId ?? targets[0]?.url ?? 'a server')}</title>
<style>${style}</style>
</head>
<body>
${sections.filter((section) => section !== '').join('\n')}
</body>
</html>
`;
}

function header({ startedAt, targets, isInterrupted }: BenchResult): string {
  const servers = targets.map(
    ({ name, url, modelId }) =>
      `<p><strong>${name}</strong> <code>${escapeHtml(url)}</code>` +
      `${modelId === undefined ? '' : `, model <code>${escapeHtml(modelId)}</code>`}</p>`,
  );
  const interrupted = isInterrupted ? '<p class="bad">Interrupted before the end.</p>' : '';
  return (
    `<h1>Benchmark</h1><p class="muted">${escapeHtml(startedAt.toUTCString())}</p>` +
    servers.join('') +
    interrupted
  );
}

function chartSection(targets: readonly TargetResult[]): string {
  const cells = [...new Set(targets.flatMap(({ runs }) => runs.map(({ cell }) => cell)))];
  if (cells.length === 0) return '';
  const charts = [
    percentileChart('Time to first token', targets, cells, (run) => run.ttftMs),
    percentileChart('Inter-token time', targets, cells, (run) => run.interTokenMs),
    rateChart('Throughput of all requests', targets, cells, (run) => run.throughputTokensPerSecond),
    rateChart(
      'Decode rate of one request, p50',
      targets,
      cells,
      (run) => run.decodeTokensPerSecond.p50,
    ),
    ...cells.map((cell) => timeChart(targets, cell)),
  ];
  return `<h2>Charts</h2><div class="charts">${charts.join('')}</div>`;
}

function percentileChart(
  title: string,
  targets: readonly TargetResult[],
  cells: readonly Cell[],
  read: (run: RunSummary) => Stats,
): string {
  const series = targets.flatMap((target) =>
    percentiles.map(
      (percentile): BarSeries => ({
        name: targets.length === 1 ? percentile : `${target.name} ${percentile}`,
        className: `${target.name} ${percentile}`,
        values: valuesOf(target, cells, (run) => read(run)[percentile]),
      }),
    ),
  );
  return barChart({ title, unit: 'ms', groups: groupNames(cells), series });
}

function rateChart(
  title: string,
  targets: readonly TargetResult[],
  cells: readonly Cell[],
  read: (run: RunSummary) => number | null,
): string {
  const series = targets.map(
    (target): BarSeries => ({
      name: target.name,
      className: target.name,
      values: valuesOf(target, cells, read),
    }),
  );
  return barChart({ title, unit: 'tokens/s', groups: groupNames(cells), series });
}

function timeChart(targets: readonly TargetResult[], cell: Cell): string {
  const points = targets.flatMap(({ name, runs }) => {
    const timeline = runs.find((run) => run.cell === cell)?.timeline ?? [];
    const stride = Math.ceil(timeline.length / maxDotCount);
    return timeline
      .filter((_, index) => index % stride === 0)
      .map(
        ({ startMs, totalMs, isFailure }): Point => ({
          x: startMs / 1000,
          y: totalMs / 1000,
          className: isFailure ? 'failed' : name,
        }),
      );
  });
  const title = `Latency over time, ${cellText(cell)}`;
  return scatterChart({
    title,
    xUnit: 'start of the request, s',
    yUnit: 'total latency, s',
    points,
  });
}

function valuesOf(
  { runs }: TargetResult,
  cells: readonly Cell[],
  read: (run: RunSummary) => number | null,
): (number | null)[] {
  return cells.map((cell) => {
    const run = runs.find((each) => each.cell === cell);
    return run === undefined ? null : read(run);
  });
}

/** Short labels, since they stand side by side; with the prompt length only where groups differ in it. */
function groupNames(cells: readonly Cell[]): string[][] {
  const lengths = new Set(cells.map(({ promptTokenCount }) => promptTokenCount));
  return cells.map(({ load, promptTokenCount }) => [
    load.kind === 'closed' ? `c=${load.concurrency}` : `${load.requestsPerSecond}/s`,
    ...(lengths.size === 1 ? [] : [`${promptTokenCount} in`]),
  ]);
}

function runTable(targets: readonly TargetResult[]): string {
  const heading = ['load', 'server', 'requests', 'failed'];
  const measured = ['ttft p50', 'p95', 'p99', 'inter-token p50', 'p95', 'p99', 'longest pause p99'];
  const rates = ['total p50', 'decode tok/s p50', 'throughput tok/s'];
  const tokens = ['prompt tokens', 'cached', 'completion tokens'];
  const rows = targets.flatMap(({ name, runs }) =>
    runs.map((run) => [
      cellText(run.cell),
      name,
      String(run.requestCount),
      String(run.failedCount),
      ...percentiles.map((percentile) => msText(run.ttftMs[percentile])),
      ...percentiles.map((percentile) => msText(run.interTokenMs[percentile])),
      msText(run.longestPauseMs.p99),
      secondsText(run.totalMs.p50),
      rateText(run.decodeTokensPerSecond.p50),
      rateText(run.throughputTokensPerSecond),
      ...[run.tokens.promptSum, run.tokens.cachedSum, run.tokens.completionSum].map(String),
    ]),
  );
  return section('Runs', [...heading, ...measured, ...rates, ...tokens], rows);
}

function gatewayTable(targets: readonly TargetResult[]): string {
  const rows = targets.flatMap(({ name, gateway }) =>
    gateway.map(({ path, latencyMs, failures, isAbsent }) => [
      path,
      name,
      ...percentiles.map((percentile) => (isAbsent ? 'not there' : msText(latencyMs[percentile]))),
      isAbsent ? '' : failures.map((group) => `${group.count} x ${failureName(group)}`).join(', '),
    ]),
  );
  return section('Gateway overhead', ['path', 'server', ...percentiles, 'failed'], rows);
}

function peerTable(targets: readonly TargetResult[]): string {
  const [heading = [], ...rows] = peerRows(targets);
  return section('Server ÷ peer, medians of the rounds', heading, rows);
}

function baselineTable(comparison: BaselineComparison): string {
  const [heading = [], ...rows] = baselineRows(comparison);
  const remarks = comparison.remarks.map((remark) => `<li>${escapeHtml(remark)}</li>`);
  const list = remarks.length === 0 ? '' : `<ul>${remarks.join('')}</ul>`;
  return `<h2>Against ${escapeHtml(comparison.path)}</h2>${list}${table(heading, rows)}`;
}

function failureTable(targets: readonly TargetResult[]): string {
  const rows = targets.flatMap(({ name, runs }) =>
    runs.flatMap(({ cell, failures }) =>
      failures.map((group) => [
        cellText(cell),
        name,
        String(group.count),
        failureName(group),
        group.message,
      ]),
    ),
  );
  return section('Failed requests', ['load', 'server', 'count', 'cause', 'for example'], rows);
}

function notesList(targets: readonly TargetResult[]): string {
  const notes = targets.flatMap(({ name, notes: own, runs }) => [
    ...own.map((note) => `${name}: ${note}`),
    ...runs.flatMap((run) => {
      const warning = clientWarning(run);
      return warning === undefined ? [] : `${name}, ${cellText(run.cell)}: ${warning}`;
    }),
  ]);
  const items = notes.map((note) => `<li>${escapeHtml(note)}</li>`);
  return items.length === 0 ? '' : `<h2>Notes</h2><ul>${items.join('')}</ul>`;
}

function environmentSection({ options }: BenchResult): string {
  const facts = {
    version: programVersion,
    ...describeMachine(),
    workload: options.workload,
    seed: options.seed,
  };
  const items = Object.entries(facts).map(
    ([name, value]) => `<dt>${escapeHtml(name)}</dt><dd>${escapeHtml(String(value))}</dd>`,
  );
  return (
    `<h2>Measured by</h2><p class="muted">The machine the client ran on, not the server's.</p>` +
    `<dl>${items.join('')}</dl><pre>${escapeHtml(options.command)}</pre>`
  );
}

/** A table under its title; empty without rows. */
function section(
  title: string,
  heading: readonly string[],
  rows: readonly (readonly string[])[],
): string {
  return rows.length === 0 ? '' : `<h2>${escapeHtml(title)}</h2>${table(heading, rows)}`;
}

function table(heading: readonly string[], rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return '';
  const cells = (tag: 'th' | 'td', texts: readonly string[]) =>
    `<tr>${texts.map((text) => `<${tag}>${escapeHtml(text)}</${tag}>`).join('')}</tr>`;
  return (
    `<div class="scroll"><table><thead>${cells('th', heading)}</thead>` +
    `<tbody>${rows.map((row) => cells('td', row)).join('')}</tbody></table></div>`
  );
}
