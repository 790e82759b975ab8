/** What the text and the HTML report have in common. Tables are rows, the heading first. */
import type { BaselineComparison } from './baseline.ts';
import { cellText } from './cell.ts';
import { compareWithPeer } from './comparison.ts';
import type { TargetResult } from './measure.ts';

/** Milliseconds with one decimal, as `12.3ms`. */
export function msText(ms: number | null): string {
  return ms === null ? '–' : `${ms.toFixed(1)}ms`;
}

/** Seconds; two decimals below ten. */
export function secondsText(ms: number | null): string {
  if (ms === null) return '–';
  return `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)}s`;
}

export function rateText(rate: number | null): string {
  return rate === null ? '–' : rate.toFixed(1);
}

/** The server's numbers divided by its peer's; the heading only, without a peer. */
export function peerRows([server, peer]: readonly TargetResult[]): string[][] {
  const rows = compareWithPeer(server?.runs ?? [], peer?.runs ?? []).map(({ cell, ...ratios }) => [
    cellText(cell),
    ...[ratios.throughput, ratios.decodeTokensPerSecond, ratios.ttft, ratios.interToken].map(
      (each) => each?.toFixed(3) ?? '–',
    ),
  ]);
  return [['load', 'throughput', 'decode tok/s', 'ttft', 'inter-token'], ...rows];
}

export function baselineRows({ changes }: BaselineComparison): string[][] {
  const rows = changes.map(({ run, metric, before, after, worsePercent }) => [
    run,
    metric,
    before.toPrecision(4),
    after.toPrecision(4),
    `${Math.abs(worsePercent).toFixed(1)}% ${worsePercent > 0 ? 'worse' : 'better'}`,
  ]);
  return [['run', 'number', 'then', 'now', 'change'], ...rows];
}
