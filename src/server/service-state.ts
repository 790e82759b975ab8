import type { Drain } from '../admission/drain.ts';
import type { ModelRegistry } from '../model/registry.ts';
import type { EngineWatch } from '../observe/engine-watch.ts';

const serviceStates = ['loading', 'ready', 'draining', 'stuck', 'failed', 'crashed'] as const;

/**
 * How the server is, in a word. `stuck`: sequences wait, but the engine does nothing. `failed`: the model
 * could not be loaded, or the engine broke. `crashed`: the gateway process is gone and will be started
 * again; only a supervisor is there to say so.
 */
export type ServiceState = (typeof serviceStates)[number];

export function isServiceState(value: unknown): value is ServiceState {
  return serviceStates.some((state) => state === value);
}

/** Whether new requests are answered. */
export function isReady(state: ServiceState): boolean {
  return state === 'ready';
}

/** Whether it will be ready, or done, if it is left alone. */
export function isLive(state: ServiceState): boolean {
  return state === 'loading' || state === 'ready' || state === 'draining';
}

/** What the parts of a gateway process come to. */
export function serviceStateOf(parts: {
  readonly models: ModelRegistry;
  readonly drain: Drain;
  readonly watch: EngineWatch;
}): ServiceState {
  if (parts.watch.isStuck) return 'stuck';
  if (parts.drain.draining) return 'draining';
  return parts.models.phase;
}
