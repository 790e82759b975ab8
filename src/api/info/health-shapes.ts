import { type Static, Type } from 'typebox';
import type { Admission } from '../../admission/admission.ts';
import type { Drain } from '../../admission/drain.ts';
import type { ModelRegistry } from '../../model/registry.ts';
import type { Metrics } from '../../observe/metrics/metrics.ts';
import { GatewayMetrics, toGatewayMetrics } from './metrics-shapes.ts';

/** The state of the gateway; `code` is the status of the readiness endpoint. */
export const Health = Type.Object({
  status: Type.Enum(['ok', 'error']),
  code: Type.Enum([200, 503]),
  backend: Type.Object({
    status: Type.Enum(['ok', 'downloading', 'loading', 'failed']),
    progress: Type.Number(),
  }),
  gateway: Type.Object({ status: Type.Enum(['ok', 'draining']), metrics: GatewayMetrics }),
  queue: Type.Object({
    max_concurrent: Type.Integer(),
    max_queue_size: Type.Integer(),
    active: Type.Integer(),
    waiting: Type.Integer(),
  }),
  authentication: Type.Object({ enabled: Type.Boolean() }),
});
export type Health = Static<typeof Health>;

/** The sources of the state. */
export interface HealthSources {
  readonly models: ModelRegistry;
  readonly drain: Drain;
  readonly admission: Admission;
  readonly metrics: Metrics;
  readonly authenticationEnabled: boolean;
}

export function toHealth(sources: HealthSources): Health {
  const { models, drain, authenticationEnabled } = sources;
  const { phase, progressRatio, current } = models;
  const metrics = toGatewayMetrics(sources.metrics.counts);
  return {
    status: phase === 'ready' ? 'ok' : 'error',
    code: phase === 'ready' ? 200 : 503,
    backend: { status: phase === 'ready' ? 'ok' : phase, progress: progressRatio },
    gateway: { status: drain.draining ? 'draining' : 'ok', metrics },
    queue: {
      max_concurrent: current?.engine.info.slotCount ?? 0,
      max_queue_size: sources.admission.limits.waitingCount,
      active: metrics.requests_active,
      waiting: metrics.queue_depth,
    },
    authentication: { enabled: authenticationEnabled },
  };
}
