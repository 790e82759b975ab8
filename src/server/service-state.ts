import type { Drain } from '../admission/drain.ts';
import type { ModelRegistry } from '../model/registry.ts';
import type { EngineWatch } from '../observe/engine-watch.ts';

const serviceStates = [
  'downloading',
  'loading',
  'ready',
  'draining',
  'stuck',
  'failed',
  'crashed',
] as const;

/**
 * The state of the server. `stuck`: sequences wait, but the engine does no step. `failed`: the model could not be loaded,
 * or the engine failed. `crashed`: the gateway process has ended and will be restarted; only a supervisor reports it.
 */
export type ServiceState = (typeof serviceStates)[number];

export function isServiceState(value: unknown): value is ServiceState {
  return serviceStates.some((state) => state === value);
}

/** True if new requests are answered. */
export function isReady(state: ServiceState): boolean {
  return state === 'ready';
}

/** True if the server needs no restart. */
export function isLive(state: ServiceState): boolean {
  return ['downloading', 'loading', 'ready', 'draining'].includes(state);
}

/** The state of a gateway process, from that of its parts. */
export function serviceStateOf(parts: {
  readonly models: ModelRegistry;
  readonly drain: Drain;
  readonly watch: EngineWatch;
}): ServiceState {
  if (parts.watch.isStuck) return 'stuck';
  if (parts.drain.draining) return 'draining';
  return parts.models.phase;
}
