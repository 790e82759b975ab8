import { type Static, Type } from 'typebox';
import type { Drain } from '../../drain.ts';
import type { ModelRegistry } from '../../model/registry.ts';

/** The state of the gateway; `code` is what readiness would answer. */
export const Health = Type.Object({
  status: Type.Enum(['ok', 'error']),
  code: Type.Enum([200, 503]),
  backend: Type.Object({
    status: Type.Enum(['ok', 'loading', 'failed']),
    progress: Type.Number(),
  }),
  gateway: Type.Object({ status: Type.Enum(['ok', 'draining']) }),
  queue: Type.Object({
    max_concurrent: Type.Integer(),
    max_queue_size: Type.Integer(),
    active: Type.Integer(),
    waiting: Type.Integer(),
  }),
  authentication: Type.Object({ enabled: Type.Boolean() }),
});
export type Health = Static<typeof Health>;

/** Where the state comes from. */
export interface HealthSources {
  readonly models: ModelRegistry;
  readonly drain: Drain;
  readonly authenticationEnabled: boolean;
}

export function toHealth({ models, drain, authenticationEnabled }: HealthSources): Health {
  const { phase, progressRatio, current } = models;
  const stats = current?.engine.stats();
  return {
    status: phase === 'ready' ? 'ok' : 'error',
    code: phase === 'ready' ? 200 : 503,
    backend: { status: phase === 'ready' ? 'ok' : phase, progress: progressRatio },
    gateway: { status: drain.draining ? 'draining' : 'ok' },
    queue: {
      max_concurrent: current?.engine.info.slotCount ?? 0,
      max_queue_size: 0,
      active: stats?.runningCount ?? 0,
      waiting: stats?.waitingCount ?? 0,
    },
    authentication: { enabled: authenticationEnabled },
  };
}
