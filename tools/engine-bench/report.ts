/** Renders measurements as Markdown tables of medians. */
import { median } from '../../src/bench/statistics.ts';
import { toTable } from '../../src/terminal/table.ts';
import type { Measurement, Workload } from './contestants/contestant.ts';

/** One measurement of one contestant. */
export interface Turn {
  readonly workload: WorkloadName;
  readonly contestant: string;
  readonly streamCount: number;
  readonly round: number;
  readonly measurement: Measurement;
}

export type WorkloadName = 'whole requests' | 'decode only';

export type WorkloadSizes = Omit<Workload, 'streamCount'>;

/** A column: one contestant's speed divided by another's, or a speed itself. */
const columns = [
  { title: 'limit tok/s', of: 'limit' },
  { title: 'engine ÷ limit', of: 'engine', by: 'limit' },
  { title: 'HTTP ÷ limit', of: 'http', by: 'limit' },
  { title: 'node-llama-cpp ÷ limit', of: 'node-llama-cpp', by: 'limit' },
  { title: 'engine ÷ node-llama-cpp', of: 'engine', by: 'node-llama-cpp' },
  { title: 'HTTP ÷ node-llama-cpp', of: 'http', by: 'node-llama-cpp' },
  { title: 'engine ÷ ik_llama.cpp', of: 'engine', by: 'ik_llama.cpp' },
  { title: 'HTTP ÷ ik_llama.cpp', of: 'http', by: 'ik_llama.cpp' },
  { title: 'peer ÷ limit', of: 'peer', by: 'limit' },
  { title: 'HTTP ÷ peer', of: 'http', by: 'peer' },
] as const;

/** Completion tokens per second. */
export function speedOf({ completionTokenCount, seconds }: Measurement): number {
  return completionTokenCount / seconds;
}

/** A Markdown table of medians for one workload, without the columns that have no measurement. */
export function renderTable(
  name: WorkloadName,
  sizes: WorkloadSizes,
  turns: readonly Turn[],
): string {
  const own = turns.filter((turn) => turn.workload === name);
  const streamCounts = [...new Set(own.map((turn) => turn.streamCount))];
  const filled: { readonly title: string; readonly cells: string[] }[] = columns
    .map((column) => ({
      title: column.title,
      cells: streamCounts.map((streamCount) => cell(own, streamCount, column)),
    }))
    .filter(({ cells }) => cells.some((text) => text !== ''));
  const heading = `${name}: ${sizes.promptTokenCount} tokens in, ${sizes.completionTokenCount} out`;
  const outside = streamCounts.map((count) => outsideDecode(own, count));
  if (outside.some((text) => text !== '')) {
    filled.push({ title: 'engine outside llama_decode', cells: outside });
  }
  const rows = [
    ['streams', ...filled.map(({ title }) => title)],
    ...streamCounts.map((count, row) => [
      String(count),
      ...filled.map(({ cells }) => cells[row] ?? ''),
    ]),
  ];
  return `${heading}\n\n${toTable(rows)}\n`;
}

/** Median share of step time outside `llama_decode`, in percent. */
function outsideDecode(turns: readonly Turn[], streamCount: number): string {
  const ratios = turns.flatMap((turn) => {
    const { outsideDecodeRatio } = turn.measurement;
    return turn.streamCount === streamCount && outsideDecodeRatio !== undefined
      ? [outsideDecodeRatio]
      : [];
  });
  return ratios.length === 0 ? '' : `${(100 * median(ratios)).toFixed(1)} %`;
}

/** The median over rounds. Ratios are taken within a round, because its contestants run within seconds of each other. */
function cell(
  turns: readonly Turn[],
  streamCount: number,
  column: { readonly of: string; readonly by?: string },
): string {
  const speeds = (contestant: string): Map<number, number> =>
    new Map(
      turns
        .filter((turn) => turn.contestant === contestant && turn.streamCount === streamCount)
        .map((turn) => [turn.round, speedOf(turn.measurement)]),
    );
  const own = speeds(column.of);
  if (own.size === 0) return '';
  if (column.by === undefined) return median([...own.values()]).toFixed(1);
  const other = speeds(column.by);
  if (other.size === 0) return '';
  return median([...own].map(([round, speed]) => speed / (other.get(round) ?? NaN))).toFixed(3);
}
