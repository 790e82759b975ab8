/** The numbers of a run that people feel. */
import { percentileOf } from '../../src/bench/statistics.ts';
import type { Sample, TrafficRun } from './traffic.ts';

export interface Score {
  readonly tokensPerSecond: number;
  /** Requests that were answered to their end, per second. */
  readonly requestsPerSecond: number;
  /** Milliseconds. */
  readonly firstTokenP50: number;
  readonly firstTokenP90: number;
  readonly firstTokenP99: number;
  readonly gapP50: number;
  readonly gapP99: number;
  /** Share of the prompts behind the first turn that came from the cache, 0 to 1; NaN without such turns. */
  readonly cachedShare: number;
  readonly requestCount: number;
  readonly failureCount: number;
}

export function scoreOf({ samples, seconds, failures }: TrafficRun): Score {
  const firstTokens = samples.map(({ firstTokenMs }) => firstTokenMs);
  const gaps = samples.flatMap(({ gapsMs }) => gapsMs);
  const later = samples.filter(({ turn }) => turn > 1);
  return {
    tokensPerSecond: total(samples, ({ completionTokenCount }) => completionTokenCount) / seconds,
    requestsPerSecond: samples.length / seconds,
    firstTokenP50: percentileOf(firstTokens, 50),
    firstTokenP90: percentileOf(firstTokens, 90),
    firstTokenP99: percentileOf(firstTokens, 99),
    gapP50: percentileOf(gaps, 50),
    gapP99: percentileOf(gaps, 99),
    cachedShare:
      total(later, ({ cachedTokenCount }) => cachedTokenCount) /
      total(later, ({ promptTokenCount }) => promptTokenCount),
    requestCount: samples.length,
    failureCount: failures.length,
  };
}

function total(samples: readonly Sample[], of: (sample: Sample) => number): number {
  return samples.reduce((sum, sample) => sum + of(sample), 0);
}
