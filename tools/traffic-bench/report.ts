/** Renders measurements: a Markdown table, and one chart. Ratios are taken within a round; medians over the rounds. */
import { barChart } from '../../src/bench/chart.ts';
import { median } from '../../src/bench/statistics.ts';
import { toTable } from '../../src/terminal/table.ts';
import type { MeasuredRun } from './saved-runs.ts';
import type { Score } from './score.ts';

export const peerName = 'llama-server';

/** A column: both values, or one value divided by the peer's. */
const columns: readonly { readonly title: string; readonly of: keyof Score; digits: number }[] = [
  { title: 'tok/s', of: 'tokensPerSecond', digits: 1 },
  { title: 'first token p50, ms', of: 'firstTokenP50', digits: 0 },
  { title: 'p90', of: 'firstTokenP90', digits: 0 },
  { title: 'p99', of: 'firstTokenP99', digits: 0 },
  { title: 'gap p50, ms', of: 'gapP50', digits: 1 },
  { title: 'p99', of: 'gapP99', digits: 0 },
];

/** A row for each kind of traffic and gateway, with the gateway's values and their ratios to the peer's. */
export function renderTable(runs: readonly MeasuredRun[]): string {
  const hasPeer = runs.some(({ contestant }) => contestant === peerName);
  const heading = ['traffic', ...columns.map(({ title }) => title), 'cached', 'failed'];
  const rows = [...new Set(runs.map(({ row }) => row))].flatMap((row) => {
    const own = runs.filter((run) => run.row === row);
    return [...new Set(own.map(({ contestant }) => contestant))]
      .toSorted((a, b) => Number(a === peerName) - Number(b === peerName))
      .map((contestant) => [
        `${row}: ${contestant}`,
        ...columns.map(({ of, digits }) => {
          const value = medianOf(own, contestant, of).toFixed(digits);
          if (!hasPeer || contestant === peerName) return value;
          return `${value} (${ratioOf(own, contestant, of).toFixed(2)})`;
        }),
        percentText(medianOf(own, contestant, 'cachedShare')),
        String(failuresOf(own, contestant)),
      ]);
  });
  return toTable([heading, ...rows]);
}

/** A page with the ratios of throughput, first token and gaps. */
export function renderChart(runs: readonly MeasuredRun[]): string {
  const groups = [...new Set(runs.map(({ row, contestant }) => `${row}\n${contestant}`))]
    .map((text) => text.split('\n'))
    .filter(([, contestant]) => contestant !== peerName);
  const series = (
    [
      ['tokens per second', 'speed', 'tokensPerSecond'],
      ['first token, median', 'first', 'firstTokenP50'],
      ['gap between tokens, median', 'gap', 'gapP50'],
      ['gap between tokens, p99', 'long-gap', 'gapP99'],
    ] as const
  ).map(([name, className, of]) => ({
    name,
    className,
    values: groups.map(([row, contestant]) => {
      const own = runs.filter((run) => run.row === row);
      const ratio = ratioOf(own, contestant ?? '', of);
      return Number.isFinite(ratio) ? ratio : null;
    }),
  }));
  const title = `Traffic: this server ÷ ${peerName}`;
  const chart = barChart({ title, unit: 'ratio', groups, series });
  return `<!doctype html><meta charset="utf-8"><title>${title}</title><style>
body { font: 14px system-ui, sans-serif; max-width: 80rem; margin: 1rem auto; }
svg text { font-size: 9px; } .grid { stroke: #d9d9e0; } .legend { display: flex; gap: 1rem; list-style: none; }
.legend svg { width: 10px; } .speed { fill: #2563b0; } .first { fill: #c2640c; } .gap { fill: #3d8b40; } .long-gap { fill: #8e4ec6; }
</style>${chart}\n`;
}

function medianOf(runs: readonly MeasuredRun[], contestant: string, of: keyof Score): number {
  return median(runs.filter((run) => run.contestant === contestant).map(({ score }) => score[of]));
}

/** The median of the ratios to the peer's value of the same round. */
export function ratioOf(runs: readonly MeasuredRun[], contestant: string, of: keyof Score): number {
  const ratios = runs
    .filter((run) => run.contestant === contestant)
    .map(({ round, score }) => {
      const peer = runs.find((run) => run.contestant === peerName && run.round === round);
      return score[of] / (peer?.score[of] ?? Number.NaN);
    });
  return median(ratios);
}

function failuresOf(runs: readonly MeasuredRun[], contestant: string): number {
  return runs
    .filter((run) => run.contestant === contestant)
    .reduce((sum, { score }) => sum + score.failureCount, 0);
}

function percentText(share: number): string {
  return Number.isNaN(share) ? '' : `${(100 * share).toFixed(0)} %`;
}
