import type { ModelRegistry } from '../model/registry.ts';

/**
 * Detects an engine that does no step although sequences wait for one. It compares what consecutive calls of
 * {@link look} see, so its owner calls that at {@link intervalMs}.
 */
export class EngineWatch {
  readonly #models: ModelRegistry;
  readonly #timeoutMs: number;
  readonly #now: () => number;
  #stepCount = -1;
  #seenAt: number;
  #stalledMs = 0;

  /** @param timeoutMs - a stalled engine is stuck after it; 0: never */
  constructor(
    models: ModelRegistry,
    timeoutMs: number,
    now: () => number = performance.now.bind(performance),
  ) {
    this.#models = models;
    this.#timeoutMs = timeoutMs;
    this.#now = now;
    this.#seenAt = now();
  }

  /** Interval between two looks. */
  get intervalMs(): number {
    return this.#timeoutMs === 0 ? 1000 : Math.min(1000, this.#timeoutMs / 4);
  }

  look(): void {
    const seenAt = this.#now();
    // A suspended machine or a paused container is not a stuck engine.
    const elapsedMs = Math.min(seenAt - this.#seenAt, 2 * this.intervalMs);
    const stats = this.#models.current?.engine.stats();
    const stepCount = stats?.stepCount ?? -1;
    const isStalled = (stats?.awaitedCount ?? 0) > 0 && stepCount === this.#stepCount;
    this.#stalledMs = isStalled ? this.#stalledMs + elapsedMs : 0;
    this.#stepCount = stepCount;
    this.#seenAt = seenAt;
  }

  /** Milliseconds that sequences had waited for a step at the last look. */
  get stalledMs(): number {
    return this.#stalledMs;
  }

  get isStuck(): boolean {
    return this.#timeoutMs > 0 && this.#stalledMs >= this.#timeoutMs;
  }
}
