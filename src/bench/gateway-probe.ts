import type { BenchClient } from './client.ts';
import { type Failure, type FailureGroup, groupFailures, RequestError } from './failure.ts';
import { type Stats, statsOf } from './statistics.ts';

export const probedPaths = ['/ping', '/health'] as const;
export type ProbedPath = (typeof probedPaths)[number];

/** Latency of one endpoint that generates nothing. */
export interface EndpointProbe {
  readonly path: ProbedPath;
  /** Times of the replies with status 2xx, in milliseconds. */
  readonly latencyMs: Stats;
  readonly failures: readonly FailureGroup[];
  /** Every reply was a 404: the server lacks the path. */
  readonly isAbsent: boolean;
}

export interface ProbeOptions {
  readonly requestCount: number;
  /** First requests, which are not counted. */
  readonly warmupCount: number;
  readonly signal: AbortSignal;
  onRequest?(): void;
}

/**
 * Sends one request after the other, each on its own connection. The clock runs from the open connection to the last
 * byte.
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
