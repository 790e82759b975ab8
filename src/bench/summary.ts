import type { Cell } from './cell.ts';
import type { Completion } from './chat-stream.ts';
import { type FailureGroup, groupFailures } from './failure.ts';
import type { LoadRun, Sample } from './load.ts';
import { type Stats, statsOf, sum } from './statistics.ts';

/** All rounds of one server in one cell. Times are milliseconds, rates are per second. */
export interface RunSummary {
  readonly cell: Cell;
  readonly requestCount: number;
  readonly successCount: number;
  readonly failedCount: number;
  readonly failures: readonly FailureGroup[];
  readonly ttftMs: Stats;
  readonly interTokenMs: Stats;
  readonly longestPauseMs: Stats;
  readonly totalMs: Stats;
  /** Completion tokens per second of a request, with the wait for the first token. */
  readonly tokensPerSecond: Stats;
  readonly decodeTokensPerSecond: Stats;
  /** Computed prompt tokens per second of TTFT; only where no other request was running. */
  readonly prefillTokensPerSecond: Stats;
  /** The server's own measurement. */
  readonly serverPrefillTokensPerSecond: Stats;
  readonly serverDecodeTokensPerSecond: Stats;
  readonly tokens: TokenTotals;
  readonly wallMs: number;
  readonly requestsPerSecond: number;
  /** Completion tokens of all requests together. */
  readonly throughputTokensPerSecond: number;
  readonly peakInFlightCount: number;
  /** Of the round in which the share was highest. */
  readonly clientBusyRatio: number;
  readonly finishReasons: Readonly<Record<string, number>>;
  /** By turn of a conversation; empty for a single turn. */
  readonly turns: readonly { readonly turn: number; readonly ttftMs: Stats }[];
  readonly rounds: readonly RoundSummary[];
  /** Start of each request, for the chart over time. */
  readonly timeline: readonly TimelinePoint[];
}

export interface TokenTotals {
  readonly promptSum: number;
  readonly cachedSum: number;
  readonly completionSum: number;
  /** Tokens of each prompt, as the server counted them. */
  readonly promptPerRequest: Stats;
  readonly completionPerRequest: Stats;
  /** Mean number of tokens in a delta; inter-token times are per delta. */
  readonly tokensPerDelta: number | null;
  /** `deltas` when any reply lacked usage. */
  readonly countedBy: 'usage' | 'deltas';
}

/** The compared numbers of one round. */
export interface RoundSummary {
  readonly ttftMsP50: number | null;
  readonly interTokenMsP50: number | null;
  readonly decodeTokensPerSecondP50: number | null;
  readonly throughputTokensPerSecond: number;
}

export interface TimelinePoint {
  /** Since the first request of the cell, with its rounds one after the other. */
  readonly startMs: number;
  readonly totalMs: number;
  readonly isFailure: boolean;
}

export function summarise(cell: Cell, rounds: readonly LoadRun[]): RunSummary {
  const samples = rounds.flatMap((round) => round.samples);
  const completions = completionsOf(samples);
  const failures = samples.flatMap(({ outcome }) => (outcome.ok ? [] : [outcome.failure]));
  const wallMs = sum(rounds.map((round) => round.wallMs));
  const tokens = countTokens(completions);
  const stats = (read: (completion: Completion) => number | undefined): Stats =>
    statsOf(completions.flatMap((completion) => read(completion) ?? []));
  const isAlone = cell.load.kind === 'closed' && cell.load.concurrency === 1;
  return {
    cell,
    requestCount: samples.length,
    successCount: completions.length,
    failedCount: failures.length,
    failures: groupFailures(failures),
    ttftMs: stats(({ ttftMs }) => ttftMs),
    interTokenMs: statsOf(completions.flatMap(({ interTokenMs }) => interTokenMs)),
    longestPauseMs: stats(({ longestPauseMs }) => longestPauseMs),
    totalMs: stats(({ totalMs }) => totalMs),
    tokensPerSecond: stats((each) => (each.tokens.completion * 1000) / each.totalMs),
    decodeTokensPerSecond: stats(({ decodeTokensPerSecond }) => decodeTokensPerSecond),
    prefillTokensPerSecond: stats((each) => (isAlone ? prefillRate(each) : undefined)),
    serverPrefillTokensPerSecond: stats((each) => each.serverTimings?.prefillTokensPerSecond),
    serverDecodeTokensPerSecond: stats((each) => each.serverTimings?.decodeTokensPerSecond),
    tokens,
    wallMs,
    requestsPerSecond: perSecond(completions.length, wallMs),
    throughputTokensPerSecond: perSecond(tokens.completionSum, wallMs),
    peakInFlightCount: Math.max(0, ...rounds.map((round) => round.peakInFlightCount)),
    clientBusyRatio: Math.max(0, ...rounds.map((round) => round.clientBusyRatio)),
    finishReasons: countReasons(completions),
    turns: byTurn(samples),
    rounds: rounds.map(summariseRound),
    timeline: timelineOf(rounds),
  };
}

/** Above this busy share the numbers include delays of the client itself. */
const busyClientRatio = 0.8;

/** A warning about the numbers, if any. */
export function clientWarning({ clientBusyRatio }: RunSummary): string | undefined {
  if (clientBusyRatio <= busyClientRatio) return undefined;
  const percent = Math.round(clientBusyRatio * 100);
  return `the client was busy ${percent}% of the time: its own delays are in these numbers`;
}

/** Share of failed requests, 0 to 1; 0 without requests. */
export function errorRatio({ requestCount, failedCount }: RunSummary): number {
  return requestCount === 0 ? 0 : failedCount / requestCount;
}

function completionsOf(samples: readonly Sample[]): Completion[] {
  return samples.flatMap(({ outcome }) => (outcome.ok ? [outcome.completion] : []));
}

function countTokens(completions: readonly Completion[]): TokenTotals {
  const counts = completions.map(({ tokens }) => tokens);
  const prompts = counts.flatMap(({ prompt }) => prompt ?? []);
  const completionSum = sum(counts.map(({ completion }) => completion));
  const deltaSum = sum(counts.map(({ deltas }) => deltas));
  return {
    promptSum: sum(prompts),
    cachedSum: sum(counts.map(({ cached }) => cached)),
    completionSum,
    promptPerRequest: statsOf(prompts),
    completionPerRequest: statsOf(counts.map(({ completion }) => completion)),
    tokensPerDelta: deltaSum === 0 ? null : completionSum / deltaSum,
    countedBy: counts.some(({ countedBy }) => countedBy === 'deltas') ? 'deltas' : 'usage',
  };
}

function prefillRate({ tokens, ttftMs }: Completion): number | undefined {
  if (tokens.prompt === undefined || ttftMs === undefined) return undefined;
  const computedCount = tokens.prompt - tokens.cached;
  return computedCount > 0 ? (computedCount * 1000) / ttftMs : undefined;
}

function countReasons(completions: readonly Completion[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { finishReason = 'none' } of completions) {
    counts[finishReason] = (counts[finishReason] ?? 0) + 1;
  }
  return counts;
}

function byTurn(samples: readonly Sample[]): RunSummary['turns'] {
  const lastTurn = samples.reduce((last, { turn }) => Math.max(last, turn), 0);
  if (lastTurn <= 1) return [];
  return Array.from({ length: lastTurn }, (_, index) => {
    const own = completionsOf(samples.filter(({ turn }) => turn === index + 1));
    return { turn: index + 1, ttftMs: statsOf(own.flatMap(({ ttftMs }) => ttftMs ?? [])) };
  });
}

function summariseRound({ samples, wallMs }: LoadRun): RoundSummary {
  const completions = completionsOf(samples);
  return {
    ttftMsP50: statsOf(completions.flatMap(({ ttftMs }) => ttftMs ?? [])).p50,
    interTokenMsP50: statsOf(completions.flatMap(({ interTokenMs }) => interTokenMs)).p50,
    decodeTokensPerSecondP50: statsOf(
      completions.flatMap(({ decodeTokensPerSecond }) => decodeTokensPerSecond ?? []),
    ).p50,
    throughputTokensPerSecond: perSecond(
      sum(completions.map(({ tokens }) => tokens.completion)),
      wallMs,
    ),
  };
}

function timelineOf(rounds: readonly LoadRun[]): TimelinePoint[] {
  let offsetMs = 0;
  return rounds.flatMap(({ samples, wallMs }) => {
    const points = samples.map(({ startMs, outcome }) => ({
      startMs: offsetMs + startMs,
      totalMs: outcome.ok ? outcome.completion.totalMs : outcome.endedAtMs - outcome.startedAtMs,
      isFailure: !outcome.ok,
    }));
    offsetMs += wallMs;
    return points;
  });
}

function perSecond(count: number, ms: number): number {
  return ms > 0 ? (count * 1000) / ms : 0;
}
