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
import { type LoadSources, loadOf, type ServerLoad } from './server-load.ts';

/** The sources of the metrics, and their constant labels. */
export interface MetricsOptions {
  readonly models: ModelRegistry;
  /** Id of the served model. */
  readonly modelName: string;
  /** Of this program. */
  readonly version: string;
  readonly watch: EngineWatch;
  /** Sequences wait here before they are submitted to the engine. */
  readonly admission: Admission;
  /** Requests for vectors and scores wait here. */
  readonly inputAdmission: Admission;
  /** Gateway processes that crashed before this one. */
  readonly restartCount?: number;
  /**
   * Watch the process and its event loop as well. At most once in a process: the watchers are never removed.
   */
  readonly watchProcess?: boolean;
}

/** A metric as it is declared, without its values. */
export interface MetricFamily {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram' | 'summary';
  readonly labels: readonly string[];
}

/** What prom-client's metrics have; its types declare a part of it. */
type DeclaredMetric = Omit<MetricFamily, 'labels'> & { readonly labelNames?: readonly string[] };

/** Forms a scrape can have. */
export type MetricsFormat = 'prometheus' | 'openmetrics';

/**
 * Sampling interval of the event loop's delay; every value includes it. Each sample wakes the thread: at 1 ms that takes
 * 2 % of a core in an idle server, and more beside compute threads.
 */
const eventLoopResolutionMs = 10;

/** All metrics of this server. */
export class Metrics implements TraceObserver {
  readonly #registry = new Registry();
  /** A registry of its own: rendered only for readers who may know the keys' ids. */
  readonly #keyRegistry = new Registry();
  readonly #running = new Set<RequestTrace>();
  readonly #counts: GatewayCounts;
  readonly #requests: RequestMetrics;
  readonly #keys: KeyMetrics;
  readonly #loadSources: LoadSources;

  constructor(options: MetricsOptions) {
    const {
      models,
      modelName,
      version,
      watch,
      admission,
      inputAdmission,
      restartCount = 0,
      watchProcess = false,
    } = options;
    const registry = this.#registry;
    this.#counts = new GatewayCounts(models, admission, this.#running);
    this.#counts.addTo(registry);
    this.#requests = new RequestMetrics(registry, modelName);
    this.#keys = new KeyMetrics(this.#keyRegistry);
    this.#loadSources = {
      models,
      admission,
      inputs: {
        runningCount: () =>
          [...this.#running].filter(({ inputTokenCount }) => inputTokenCount !== undefined).length,
        waitingCount: () => inputAdmission.waitingCount,
        tokenCount: () => this.#requests.inputTokenCount,
      },
    };
    addEngineMetrics(registry, { modelName, ...this.#loadSources });
    addModelState(registry, models);
    readGauge(
      registry,
      {
        name: 'gateway_engine_stalled_seconds',
        help: 'How long sequences have waited for a step of the engine; 0 while it works.',
      },
      () => watch.stalledMs / 1000,
    );
    readCounter(
      registry,
      {
        name: 'gateway_restarts_total',
        help: 'Crashed gateway processes before this one.',
      },
      () => restartCount,
    );
    readGauge(
      registry,
      {
        name: 'gateway_build_info',
        help: 'Version, Node.js and model of this process; always 1.',
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

  /** What runs and waits now. */
  get load(): ServerLoad {
    return loadOf(this.#loadSources);
  }

  /** Every family there is, for the documentation. */
  families(): readonly MetricFamily[] {
    const metrics = [this.#registry, this.#keyRegistry].flatMap((registry) =>
      registry.getMetricsAsArray(),
    );
    return metrics.map((metric) => {
      const { name, help, type, labelNames = [] } = metric as unknown as DeclaredMetric;
      return { name, help, type, labels: labelNames };
    });
  }

  /** @param withKeys - include the series of single API keys; only for readers who may know the keys' ids */
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
    help: '1 for the current state of the model: `downloading`, `loading`, `ready` or `failed`.',
    labelNames: ['state'],
    registers: [registry],
    collect() {
      for (const state of ['downloading', 'loading', 'ready', 'failed'] as const) {
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
      help: 'Time from the start to a ready model; 0 until then.',
    },
    () => (models.loadMs ?? 0) / 1000,
  );
  readGauge(
    registry,
    { name: 'gateway_model_bytes', help: 'Size of the model file, all parts together.' },
    () => models.current?.card.sizeBytes ?? 0,
  );
}
