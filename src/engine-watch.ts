import type { ModelRegistry } from './model/registry.ts';

/**
 * Notices an engine that does no step although sequences wait for one. It knows only what it saw when it
 * looked, so somebody has to make it {@link look} all the time.
 */
export class EngineWatch {
  readonly #models: ModelRegistry;
  readonly #timeoutMs: number;
  readonly #now: () => number;
  #stepCount = -1;
  #progressAt: number;
  #seenAt: number;

  /** @param timeoutMs - after which it is stuck; 0: never */
  constructor(
    models: ModelRegistry,
    timeoutMs: number,
    now: () => number = performance.now.bind(performance),
  ) {
    this.#models = models;
    this.#timeoutMs = timeoutMs;
    this.#now = now;
    this.#progressAt = now();
    this.#seenAt = this.#progressAt;
  }

  /** How often it has to look. */
  get intervalMs(): number {
    return this.#timeoutMs === 0 ? 1000 : Math.min(1000, this.#timeoutMs / 4);
  }

  look(): void {
    this.#seenAt = this.#now();
    const stats = this.#models.current?.engine.stats();
    if (
      stats === undefined ||
      stats.awaitedCount === 0 ||
      stats.decodeCallCount !== this.#stepCount
    ) {
      this.#progressAt = this.#seenAt;
    }
    this.#stepCount = stats?.decodeCallCount ?? -1;
  }

  /** Milliseconds that sequences have been waiting for a step, when it last looked. */
  get stalledMs(): number {
    return this.#seenAt - this.#progressAt;
  }

  get isStuck(): boolean {
    return this.#timeoutMs > 0 && this.stalledMs >= this.#timeoutMs;
  }
}
