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

/** The numbers the Python gateway had, each with its meaning of then. */
export interface GatewayCountValues {
  /** Requests that were handed to the engine. */
  readonly requestsTotal: number;
  /** Those whose reply was complete, below status 400. */
  readonly requestsSuccess: number;
  /** Those that failed; a client that leaves is no failure. */
  readonly requestsError: number;
  /** Sequences that hold a slot. */
  readonly requestsActive: number;
  /** Of users with a key, scrapes of the metrics left out. */
  readonly requestsAuthenticated: number;
  /** Refused by authentication, or by the limits of a key. */
  readonly requestsUnauthorized: number;
  /** Of the bodies of successful replies. */
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

/** Series of these names: boards of the Python gateway ask for them, `_total` or not. */
const series: readonly (readonly [CountName, 'counter' | 'gauge', name: string, help: string])[] = [
  ['requestsTotal', 'counter', 'requests_total', 'Requests handed to the engine.'],
  ['requestsSuccess', 'counter', 'requests_success', 'Requests answered in full.'],
  ['requestsError', 'counter', 'requests_error', 'Requests that failed.'],
  ['requestsActive', 'gauge', 'requests_active', 'Sequences that hold a slot.'],
  ['requestsAuthenticated', 'counter', 'requests_authenticated', 'Requests with a valid key.'],
  ['requestsUnauthorized', 'counter', 'requests_unauthorized', 'Requests refused by keys.'],
  ['bytesSent', 'counter', 'bytes_sent', 'Bytes of successful replies.'],
  ['queueDepth', 'gauge', 'queue_depth', 'Sequences that wait for a slot.'],
  ['queueRejections', 'counter', 'queue_rejections', 'Requests refused: too many waiting.'],
  ['queueWaitSecondsTotal', 'counter', 'queue_wait_seconds_total', 'Time waited for slots.'],
  ['uptimeSeconds', 'gauge', 'uptime_seconds', 'Seconds since the start.'],
];

/** Keeps them. */
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

  /** @param running - requests that have not come to their end */
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
    // Those who watch are no users, and nobody is authenticated where authentication is off.
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
