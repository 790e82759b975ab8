/**
 * The JSON report: the keys of the Python gateway's benchmark (`gateway`, `inference` and their contents), and further
 * keys. Times are seconds, rates are per second, ratios 0 to 1.
 */
import { programVersion } from '../core/package-info.ts';
import { compareWithPeer } from './comparison.ts';
import type { EndpointProbe } from './gateway-probe.ts';
import { describeMachine } from './machine.ts';
import type { BenchResult, TargetResult } from './measure.ts';
import type { BenchOptions } from './options.ts';
import type { Stats } from './statistics.ts';
import { errorRatio, type RunSummary } from './summary.ts';

/** Changes when a key changes its meaning or is removed. */
export const recordVersion = 1;

export type BenchRecord = ReturnType<typeof toRecord>;
export type RunRecord = ReturnType<typeof toRunRecord>;

/** @param baseline - the comparison with an earlier run, if any */
export function toRecord(result: BenchResult, baseline: object | undefined) {
  const { targets, options } = result;
  const [server, peer] = targets;
  const runs = toRunRecords(result);
  const inference = runs.find(({ target }) => target === 'server');
  return {
    schema_version: recordVersion,
    ...(server !== undefined && { gateway: toGatewayRecord(server.gateway) }),
    // Absent with --gateway-only, as in the Python gateway.
    ...(inference !== undefined && { inference }),
    runs,
    ...(peer !== undefined && { comparison: toComparisonRecord(targets) }),
    ...(baseline !== undefined && { baseline }),
    targets: targets.map(({ name, url, modelId, notes, gateway }) => ({
      name,
      url,
      model: modelId ?? null,
      notes,
      gateway: toGatewayRecord(gateway),
    })),
    command: options.command,
    seed: options.seed,
    started_at: result.startedAt.toISOString(),
    interrupted: result.isInterrupted,
    environment: { version: programVersion, ...toMachineRecord() },
  };
}

/** All runs: by cell, the server before its peer. */
export function toRunRecords({ targets, options }: BenchResult): RunRecord[] {
  return targets.flatMap(({ name, runs }) => runs.map((run) => toRunRecord(name, run, options)));
}

function toRunRecord(target: string, run: RunSummary, options: BenchOptions) {
  const { load, promptTokenCount } = run.cell;
  return {
    target,
    workload: options.workload,
    prompt: options.workload === 'fixed' ? options.prompt : null,
    concurrency: load.kind === 'closed' ? load.concurrency : null,
    rate: load.kind === 'open' ? load.requestsPerSecond : null,
    prompt_tokens_wanted: promptTokenCount ?? null,
    prefix_tokens_wanted: options.workload === 'shared-prefix' ? options.prefixTokenCount : null,
    turns: options.workload === 'multi-turn' ? options.turnCount : null,
    max_tokens: options.maxTokens,
    ignore_eos: options.ignoreEos,
    ttft: inSeconds(run.ttftMs),
    inter_token: inSeconds(run.interTokenMs),
    longest_pause: inSeconds(run.longestPauseMs),
    total_latency: inSeconds(run.totalMs),
    tokens_per_sec: run.tokensPerSecond,
    decode_tokens_per_sec: run.decodeTokensPerSecond,
    prefill_tokens_per_sec: run.prefillTokensPerSecond,
    server_timings: {
      prefill_tokens_per_sec: run.serverPrefillTokensPerSecond,
      decode_tokens_per_sec: run.serverDecodeTokensPerSecond,
    },
    throughput_tokens_per_sec: run.throughputTokensPerSecond,
    requests_per_sec: run.requestsPerSecond,
    prompt_tokens: run.tokens.promptSum,
    cached_tokens: run.tokens.cachedSum,
    completion_tokens: run.tokens.completionSum,
    prompt_tokens_per_request: run.tokens.promptPerRequest,
    completion_tokens_per_request: run.tokens.completionPerRequest,
    tokens_per_delta: run.tokens.tokensPerDelta,
    tokens_counted_by: run.tokens.countedBy,
    requests_total: run.requestCount,
    requests_success: run.successCount,
    requests_failed: run.failedCount,
    error_rate: errorRatio(run),
    errors: run.failures.map(({ kind, status, code, count, message }) => ({
      kind,
      status: status ?? null,
      code: code ?? null,
      count,
      message,
    })),
    finish_reasons: run.finishReasons,
    ttft_by_turn: run.turns.map(({ turn, ttftMs }) => ({ turn, ttft: inSeconds(ttftMs) })),
    rounds: run.rounds.length,
    peak_in_flight: run.peakInFlightCount,
    client_busy_ratio: run.clientBusyRatio,
    wall_time: run.wallMs / 1000,
  };
}

function toGatewayRecord(probes: readonly EndpointProbe[]) {
  return Object.fromEntries(
    probes.map(({ path, latencyMs, failures }) => [
      path.slice(1),
      {
        ...inSeconds(latencyMs),
        errors: failures.map(({ kind, status, count, message }) => ({
          kind,
          status: status ?? null,
          count,
          message,
        })),
      },
    ]),
  );
}

function toComparisonRecord([server, peer]: readonly TargetResult[]) {
  return compareWithPeer(server?.runs ?? [], peer?.runs ?? []).map(({ cell, ...ratios }) => ({
    concurrency: cell.load.kind === 'closed' ? cell.load.concurrency : null,
    rate: cell.load.kind === 'open' ? cell.load.requestsPerSecond : null,
    prompt_tokens_wanted: cell.promptTokenCount ?? null,
    server_by_peer: {
      throughput: ratios.throughput,
      decode_tokens_per_sec: ratios.decodeTokensPerSecond,
      ttft: ratios.ttft,
      inter_token: ratios.interToken,
    },
  }));
}

function toMachineRecord() {
  const { cpu, coreCount, memoryBytes, platform, node } = describeMachine();
  return { cpu, core_count: coreCount, memory_bytes: memoryBytes, platform, node };
}

function inSeconds(stats: Stats): Stats {
  const scale = (ms: number | null) => (ms === null ? null : ms / 1000);
  return {
    min: scale(stats.min),
    max: scale(stats.max),
    mean: scale(stats.mean),
    p50: scale(stats.p50),
    p95: scale(stats.p95),
    p99: scale(stats.p99),
    count: stats.count,
  };
}
