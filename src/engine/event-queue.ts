/** When a queue pauses its producer. */
export interface QueueLimits {
  /** Number of waiting items at which the producer is paused. */
  readonly high: number;
  /** Called with true once `high` is reached, with false once the waiting items are taken. */
  readonly onPause: (paused: boolean) => void;
}

/**
 * A queue with one producer and one consumer. The producer is paused instead of blocked, so items in flight may still
 * arrive beyond `high`.
 */
export class EventQueue<Item> {
  readonly #limits: QueueLimits;
  #items: Item[] = [];
  #paused = false;
  #failure: { readonly error: unknown } | undefined;
  #wake: (() => void) | undefined;

  constructor(limits: QueueLimits) {
    this.#limits = limits;
  }

  push(item: Item): void {
    this.#items.push(item);
    if (!this.#paused && this.#items.length >= this.#limits.high) this.#pause(true);
    this.#notify();
  }

  /** Ends the queue: once all earlier items are taken, `takeAll` throws `error`. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#notify();
  }

  /** Resolves with all waiting items, once there is one. One call at a time. */
  async takeAll(): Promise<readonly Item[]> {
    while (this.#items.length === 0) {
      if (this.#failure !== undefined) throw this.#failure.error;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const items = this.#items;
    this.#items = [];
    if (this.#paused) this.#pause(false);
    return items;
  }

  #pause(paused: boolean): void {
    this.#paused = paused;
    this.#limits.onPause(paused);
  }

  #notify(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
}
