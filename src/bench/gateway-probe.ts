import type { BenchClient } from './client.ts';
import { type Failure, type FailureGroup, groupFailures, RequestError } from './failure.ts';
import { type Stats, statsOf } from './statistics.ts';

export const probedPaths = ['/ping', '/health'] as const;
export type ProbedPath = (typeof probedPaths)[number];

/** Latency of one endpoint that generates nothing. */
export interface EndpointProbe {
  readonly path: ProbedPath;
  /** Milliseconds of the replies with status 2xx. */
  readonly latencyMs: Stats;
  readonly failures: readonly FailureGroup[];
  /** Every reply was a 404: this server has no such path. */
  readonly isAbsent: boolean;
}

export interface ProbeOptions {
  readonly requestCount: number;
  /** Requests that come first and are not counted. */
  readonly warmupCount: number;
  readonly signal: AbortSignal;
  onRequest?(): void;
}

/**
 * One request after the other, each on a connection of its own; the clock runs from the open
 * connection to the last byte.
 */
export async function probeEndpoint(
  client: BenchClient,
  path: ProbedPath,
  { requestCount, warmupCount, signal, onRequest }: ProbeOptions,
): Promise<EndpointProbe> {
  const latencies: number[] = [];
  const failures: Failure[] = [];
  for (let index = -warmupCount; index < requestCount && !signal.aborted; index++) {
    const answer = await probeOnce(client, path, signal);
    if (signal.aborted) break;
    onRequest?.();
    if (index < 0) continue;
    if (typeof answer === 'number') latencies.push(answer);
    else failures.push(answer);
  }
  const isAbsent =
    latencies.length === 0 && failures.length > 0 && failures.every(({ status }) => status === 404);
  return { path, latencyMs: statsOf(latencies), failures: groupFailures(failures), isAbsent };
}

async function probeOnce(
  client: BenchClient,
  path: ProbedPath,
  signal: AbortSignal,
): Promise<number | Failure> {
  try {
    const { status, totalMs } = await client.get(path, { connection: 'new', signal });
    if (status >= 200 && status < 300) return totalMs;
    return { kind: 'status', status, message: `${path} answered ${status}` };
  } catch (error) {
    if (error instanceof RequestError) return error.failure;
    throw error;
  }
}
