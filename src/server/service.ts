/** The parts of a gateway process that exist before its model, and what they report to the supervisor. */
import { Admission } from '../admission/admission.ts';
import { Drain } from '../admission/drain.ts';
import { inputSlotCount } from '../api/vectors/input-work.ts';
import type { Config } from '../config/config.ts';
import { programVersion } from '../core/package-info.ts';
import { ModelRegistry } from '../model/registry.ts';
import { EngineWatch } from '../observe/engine-watch.ts';
import { Metrics } from '../observe/metrics/metrics.ts';
import type { Tracing } from '../observe/trace/tracing.ts';
import { serviceStateOf } from './service-state.ts';
import type { SupervisorLink } from './supervisor/link.ts';

/** Registry, queues, drain and observers of one gateway process. */
export interface Service {
  readonly models: ModelRegistry;
  readonly drain: Drain;
  readonly admission: Admission;
  readonly inputAdmission: Admission;
  readonly watch: EngineWatch;
  readonly metrics: Metrics;
  readonly tracing: Tracing | undefined;
}

/** Creates the parts. Opens nothing but the exporter of traces. */
export async function createService(
  config: Config,
  modelName: string,
  restartCount: number,
): Promise<Service> {
  const { queue } = config.server;
  const models = new ModelRegistry();
  // Without a model no request is admitted.
  const admission = new Admission(queue, () => models.current?.engine.info.slotCount ?? 0);
  const inputAdmission = new Admission(queue, () => inputSlotCount);
  const watch = new EngineWatch(models, config.supervision.watchdogTimeoutMs);
  return {
    models,
    drain: new Drain(),
    admission,
    inputAdmission,
    watch,
    metrics: new Metrics({
      models,
      watch,
      admission,
      inputAdmission,
      modelName,
      version: programVersion,
      restartCount,
      watchProcess: true,
    }),
    tracing: await openTracing(config.tracesEndpoint, models),
  };
}

async function openTracing(
  endpoint: string | undefined,
  models: ModelRegistry,
): Promise<Tracing | undefined> {
  if (endpoint === undefined) return undefined;
  // Loaded here, because only this setting needs the exporter.
  const { Tracing } = await import('../observe/trace/tracing.ts');
  return new Tracing({ endpoint, models, version: programVersion });
}

/** Reports of the service's state to the supervisor. */
export interface StateReports {
  /** Reports the state now. */
  send(): Promise<void>;
  stop(): void;
}

/** Checks the engine and reports the state at the interval of the watch. */
export function startReports(
  service: Service,
  supervisor: SupervisorLink | undefined,
): StateReports {
  const send = async () => supervisor?.report(serviceStateOf(service));
  const timer = setInterval(() => {
    service.watch.look();
    void send();
  }, service.watch.intervalMs);
  return { send, stop: () => clearInterval(timer) };
}
