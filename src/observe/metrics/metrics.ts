import { collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { Admission } from '../../admission/admission.ts';
import type { ModelRegistry } from '../../model/registry.ts';
import type { EngineWatch } from '../engine-watch.ts';
import type { RequestRecord, RequestTrace, TraceObserver } from '../trace/request-trace.ts';
import { addEngineMetrics } from './engine-metrics.ts';
import { GatewayCounts, type GatewayCountValues } from './gateway-counts.ts';
import { KeyMetrics } from './key-metrics.ts';
import { toOpenMetrics } from './open-metrics.ts';
import { RequestMetrics } from './request-metrics.ts';
import { readCounter, readGauge } from './series.ts';

/** Where metrics come from, and what they are called. */
export interface MetricsOptions {
  readonly models: ModelRegistry;
  /** Id of the served model. */
  readonly modelName: string;
  /** Of this program. */
  readonly version: string;
  readonly watch: EngineWatch;
  /** Where sequences wait that the engine has not seen. */
  readonly admission: Admission;
  /** Gateway processes that crashed before this one. */
  readonly restartCount?: number;
  /**
   * Watch the process and its event loop as well. Once in a process: the watchers are never taken off.
   */
  readonly watchProcess?: boolean;
}

/** Forms a scrape can have. */
export type MetricsFormat = 'prometheus' | 'openmetrics';

/**
 * How often the delay of the event loop is looked at, which adds as much to every value. Each look wakes the thread,
 * at 1 ms for a fiftieth of a core in an idle server and more beside compute threads.
 */
const eventLoopResolutionMs = 10;

/** Every number there is about this server. */
export class Metrics implements TraceObserver {
  readonly #registry = new Registry();
  /** Apart, so that it can be left out where everyone may read. */
  readonly #keyRegistry = new Registry();
  readonly #running = new Set<RequestTrace>();
  readonly #counts: GatewayCounts;
  readonly #requests: RequestMetrics;
  readonly #keys: KeyMetrics;

  constructor(options: MetricsOptions) {
    const {
      models,
      modelName,
      version,
      watch,
      admission,
      restartCount = 0,
      watchProcess = false,
    } = options;
    const registry = this.#registry;
    this.#counts = new GatewayCounts(models, admission, this.#running);
    this.#counts.addTo(registry);
    this.#requests = new RequestMetrics(registry, modelName);
    this.#keys = new KeyMetrics(this.#keyRegistry);
    addEngineMetrics(registry, { models, modelName, admission });
    addModelState(registry, models);
    readGauge(
      registry,
      {
        name: 'gateway_engine_stalled_seconds',
        help: 'How long sequences have been waiting for a step of the engine; 0 while it works.',
      },
      () => watch.stalledMs / 1000,
    );
    readCounter(
      registry,
      {
        name: 'gateway_restarts_total',
        help: 'Times the gateway process crashed before this one.',
      },
      () => restartCount,
    );
    readGauge(
      registry,
      {
        name: 'gateway_build_info',
        help: 'What runs here; always 1.',
        labels: { version, node: process.versions.node, model_name: modelName },
      },
      () => 1,
    );
    if (watchProcess) {
      collectDefaultMetrics({
        register: registry,
        eventLoopMonitoringPrecision: eventLoopResolutionMs,
      });
    }
  }

  began(trace: RequestTrace): void {
    this.#running.add(trace);
  }

  ended(trace: RequestTrace | undefined, record: RequestRecord): void {
    if (trace !== undefined) this.#running.delete(trace);
    this.#counts.observe(record);
    this.#requests.observe(record);
    this.#keys.observe(record);
  }

  /** @param ms - between two tokens of a sequence */
  observeInterToken(ms: number): void {
    this.#requests.observeInterToken(ms / 1000);
  }

  /** The Python gateway's numbers. */
  get counts(): GatewayCountValues {
    return this.#counts.values();
  }

  /** @param withKeys - also what single API keys did; only for those who may know their ids */
  async render(format: MetricsFormat, { withKeys }: { withKeys: boolean }): Promise<string> {
    const texts = [await this.#registry.metrics()];
    if (withKeys) texts.push(await this.#keyRegistry.metrics());
    const text = texts.join('\n');
    return format === 'openmetrics' ? toOpenMetrics(text) : text;
  }
}

function addModelState(registry: Registry, models: ModelRegistry): void {
  new Gauge({
    name: 'gateway_model_state',
    help: '1 for the state the model is in: loading, ready or failed.',
    labelNames: ['state'],
    registers: [registry],
    collect() {
      for (const state of ['loading', 'ready', 'failed'] as const) {
        this.set({ state }, models.phase === state ? 1 : 0);
      }
    },
  });
  readGauge(
    registry,
    { name: 'gateway_model_load_ratio', help: 'Share of the model file that is loaded, 0 to 1.' },
    () => models.progressRatio,
  );
  readGauge(
    registry,
    {
      name: 'gateway_model_load_seconds',
      help: 'From the start to a model that answers; 0 until then.',
    },
    () => (models.loadMs ?? 0) / 1000,
  );
  readGauge(
    registry,
    { name: 'gateway_model_bytes', help: 'Size of the model file, all parts together.' },
    () => models.current?.card.sizeBytes ?? 0,
  );
}
