/** Where a queue stands between its producer and its consumer. */
export interface QueueLimits {
  /** Items at which the producer is asked to hold. */
  readonly high: number;
  /** Items at which it may go on. */
  readonly low: number;
  /** Called with true when `high` is reached, with false when the queue is back at `low`. */
  readonly onHold: (held: boolean) => void;
}

/**
 * A queue with one producer and one consumer. The producer is asked to hold rather than made to wait,
 * so a few items more than `high` may arrive: what was under way.
 */
export class EventQueue<Item> {
  readonly #limits: QueueLimits;
  #items: Item[] = [];
  /** Index of the oldest item that was not taken. */
  #head = 0;
  #held = false;
  #failure: { readonly error: unknown } | undefined;
  #wake: (() => void) | undefined;

  constructor(limits: QueueLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#items.length - this.#head;
  }

  push(item: Item): void {
    this.#items.push(item);
    if (!this.#held && this.size >= this.#limits.high) this.#hold(true);
    this.#notify();
  }

  /** Ends the queue: once the items before it are taken, `take` throws `error`. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#notify();
  }

  /** The oldest item, as soon as there is one. One call at a time. */
  async take(): Promise<Item> {
    while (this.size === 0) {
      if (this.#failure !== undefined) throw this.#failure.error;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const item = this.#items[this.#head] as Item;
    this.#head += 1;
    if (this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    if (this.#held && this.size <= this.#limits.low) this.#hold(false);
    return item;
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
