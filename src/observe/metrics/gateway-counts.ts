import type { Registry } from 'prom-client';
import { anonymous } from '../../access/keys/caller.ts';
import type { Admission } from '../../admission/admission.ts';
import type { ModelRegistry } from '../../model/registry.ts';
import {
  clientClosedStatus,
  isSuccess,
  type RequestRecord,
  type RequestTrace,
} from '../trace/request-trace.ts';
import { readCounter, readGauge } from './series.ts';

/** The numbers of the Python gateway, with their original meaning. */
export interface GatewayCountValues {
  /** Requests that were submitted to the engine. */
  readonly requestsTotal: number;
  /** Requests with a complete reply, below status 400. */
  readonly requestsSuccess: number;
  /** Failed requests. A client that leaves is not a failure. */
  readonly requestsError: number;
  /** Sequences that hold a slot. */
  readonly requestsActive: number;
  /** Requests with a valid key, except scrapes of the metrics. */
  readonly requestsAuthenticated: number;
  /** Requests refused by authentication, or by the limits of a key. */
  readonly requestsUnauthorized: number;
  /** Bytes of the bodies of successful replies. */
  readonly bytesSent: number;
  /** Sequences that wait for a slot. */
  readonly queueDepth: number;
  readonly queueRejections: number;
  /** Rounded to milliseconds. */
  readonly queueWaitSecondsTotal: number;
  /** Whole seconds. */
  readonly uptimeSeconds: number;
}

type CountName = keyof GatewayCountValues;

/** The series' names are those of the Python gateway's dashboards, with `_total` or without. */
const series: readonly (readonly [CountName, 'counter' | 'gauge', name: string, help: string])[] = [
  ['requestsTotal', 'counter', 'requests_total', 'Requests submitted to the engine.'],
  [
    'requestsSuccess',
    'counter',
    'requests_success',
    'Requests answered in full, below status 400. A client that leaves is neither success nor error.',
  ],
  ['requestsError', 'counter', 'requests_error', 'Failed requests.'],
  ['requestsActive', 'gauge', 'requests_active', 'Sequences that hold a slot.'],
  ['requestsAuthenticated', 'counter', 'requests_authenticated', 'Requests with a valid key.'],
  [
    'requestsUnauthorized',
    'counter',
    'requests_unauthorized',
    'Requests refused by authentication, or by the limits of a key.',
  ],
  ['bytesSent', 'counter', 'bytes_sent', 'Bytes of successful replies.'],
  ['queueDepth', 'gauge', 'queue_depth', 'Sequences that wait for a slot.'],
  [
    'queueRejections',
    'counter',
    'queue_rejections',
    'Requests refused because too many were waiting.',
  ],
  [
    'queueWaitSecondsTotal',
    'counter',
    'queue_wait_seconds_total',
    'Time sequences waited for slots.',
  ],
  ['uptimeSeconds', 'gauge', 'uptime_seconds', 'Seconds since the start.'],
];

/** Counts them. */
export class GatewayCounts {
  readonly #startedAt = performance.now();
  readonly #models: ModelRegistry;
  readonly #admission: Admission;
  readonly #running: ReadonlySet<RequestTrace>;
  #success = 0;
  #error = 0;
  #cancelled = 0;
  #authenticated = 0;
  #unauthorized = 0;
  #bytesSent = 0;
  #queueRejections = 0;
  #queueWaitMs = 0;

  /** @param running - requests in flight */
  constructor(models: ModelRegistry, admission: Admission, running: ReadonlySet<RequestTrace>) {
    this.#models = models;
    this.#admission = admission;
    this.#running = running;
  }

  addTo(registry: Registry): void {
    for (const [key, type, name, help] of series) {
      const add = type === 'counter' ? readCounter : readGauge;
      add(registry, { name: `gateway_${name}`, help }, () => this.values()[key]);
    }
  }

  observe(record: RequestRecord): void {
    const { status, failure, generation, inputTokenCount, keyId, route } = record;
    if (status === 401 || status === 429) this.#unauthorized += 1;
    // A scrape is not a user, and without authentication no request is authenticated.
    else if (keyId !== undefined && keyId !== anonymous.keyId && route !== '/metrics') {
      this.#authenticated += 1;
    }
    if (failure === 'queue_full') this.#queueRejections += 1;
    if (generation === undefined && inputTokenCount === undefined) return;
    for (const { timings } of generation?.sequences ?? []) this.#queueWaitMs += timings.queueMs;
    if (isSuccess(record)) {
      this.#success += 1;
      this.#bytesSent += record.sentBytes;
    } else if (status === clientClosedStatus) {
      this.#cancelled += 1;
    } else {
      this.#error += 1;
    }
  }

  values(): GatewayCountValues {
    const stats = this.#models.current?.engine.stats();
    const submitted = [...this.#running].filter((trace) => trace.isSubmitted).length;
    return {
      requestsTotal: this.#success + this.#error + this.#cancelled + submitted,
      requestsSuccess: this.#success,
      requestsError: this.#error,
      requestsActive: stats?.runningCount ?? 0,
      requestsAuthenticated: this.#authenticated,
      requestsUnauthorized: this.#unauthorized,
      bytesSent: this.#bytesSent,
      queueDepth: this.#admission.waitingCount + (stats?.waitingCount ?? 0),
      queueRejections: this.#queueRejections,
      queueWaitSecondsTotal: Math.round(this.#queueWaitMs) / 1000,
      uptimeSeconds: Math.floor((performance.now() - this.#startedAt) / 1000),
    };
  }
}
