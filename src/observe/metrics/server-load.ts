import type { Admission } from '../../admission/admission.ts';
import { zeroStats } from '../../engine/engine-stats.ts';
import type { ModelRegistry } from '../../model/registry.ts';

/** Where the load is read from. */
export interface LoadSources {
  readonly models: ModelRegistry;
  /** Sequences wait here before they are submitted to the engine. */
  readonly admission: Admission;
  /** Requests for vectors and scores; their engine counts nothing. */
  readonly inputs: {
    /** Requests that are computed now. */
    runningCount(): number;
    waitingCount(): number;
    /** Tokens of ended requests. */
    tokenCount(): number;
  };
}

/** What runs and waits at a moment: sequences, and requests that are embedded or ranked. */
export interface ServerLoad {
  readonly runningCount: number;
  readonly waitingCount: number;
  /** KV cells of running sequences. */
  readonly usedKvTokenCount: number;
}

export function loadOf({ models, admission, inputs }: LoadSources): ServerLoad {
  const { engine } = models.current ?? {};
  const stats = engine?.stats() ?? zeroStats;
  // Without a generator the engine's own counts are those of inputs.
  const { runningCount, waitingCount } = engine?.generator === undefined ? zeroStats : stats;
  return {
    runningCount: runningCount + inputs.runningCount(),
    waitingCount: waitingCount + admission.waitingCount + inputs.waitingCount(),
    usedKvTokenCount: stats.usedKvTokenCount,
  };
}
