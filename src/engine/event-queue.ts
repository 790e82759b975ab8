/** Where a queue stands between its producer and its consumer. */
export interface QueueLimits {
  /** Waiting items at which the producer is asked to hold. */
  readonly high: number;
  /** Called with true when `high` is reached, with false once the waiting items are taken. */
  readonly onHold: (held: boolean) => void;
}

/**
 * A queue with one producer and one consumer. The producer is asked to hold rather than made to wait,
 * so a few items more than `high` may arrive: what was under way.
 */
export class EventQueue<Item> {
  readonly #limits: QueueLimits;
  #items: Item[] = [];
  #held = false;
  #failure: { readonly error: unknown } | undefined;
  #wake: (() => void) | undefined;

  constructor(limits: QueueLimits) {
    this.#limits = limits;
  }

  push(item: Item): void {
    this.#items.push(item);
    if (!this.#held && this.#items.length >= this.#limits.high) this.#hold(true);
    this.#notify();
  }

  /** Ends the queue: once the items before it are taken, `takeAll` throws `error`. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#notify();
  }

  /** All items, as soon as there is one. One call at a time. */
  async takeAll(): Promise<readonly Item[]> {
    while (this.#items.length === 0) {
      if (this.#failure !== undefined) throw this.#failure.error;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const items = this.#items;
    this.#items = [];
    if (this.#held) this.#hold(false);
    return items;
  }

  #hold(held: boolean): void {
    this.#held = held;
    this.#limits.onHold(held);
  }

  #notify(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
}
