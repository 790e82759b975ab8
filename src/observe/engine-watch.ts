import type { ModelRegistry } from '../model/registry.ts';

/**
 * Notices an engine that does no step although sequences wait for one. It knows only what it saw when it
 * looked, so somebody has to make it {@link look} all the time.
 */
export class EngineWatch {
  readonly #models: ModelRegistry;
  readonly #timeoutMs: number;
  readonly #now: () => number;
  #stepCount = -1;
  #seenAt: number;
  #stalledMs = 0;

  /** @param timeoutMs - after which it is stuck; 0: never */
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

  /** How often it has to look. */
  get intervalMs(): number {
    return this.#timeoutMs === 0 ? 1000 : Math.min(1000, this.#timeoutMs / 4);
  }

  look(): void {
    const seenAt = this.#now();
    // A machine that slept, or a container that was paused, is not a stuck engine.
    const elapsedMs = Math.min(seenAt - this.#seenAt, 2 * this.intervalMs);
    const stats = this.#models.current?.engine.stats();
    const stepCount = stats?.stepCount ?? -1;
    const isStalled = (stats?.awaitedCount ?? 0) > 0 && stepCount === this.#stepCount;
    this.#stalledMs = isStalled ? this.#stalledMs + elapsedMs : 0;
    this.#stepCount = stepCount;
    this.#seenAt = seenAt;
  }

  /** Milliseconds that sequences have been waiting for a step, when it last looked. */
  get stalledMs(): number {
    return this.#stalledMs;
  }

  get isStuck(): boolean {
    return this.#timeoutMs > 0 && this.#stalledMs >= this.#timeoutMs;
  }
}
