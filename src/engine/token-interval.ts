/** Measures the time between the texts of a sequence, as they leave the engine thread. */
export class TokenInterval {
  readonly #observe: (ms: number) => void;
  /** Time of the last text of each sequence. */
  readonly #lastAt = new Map<number, number>();

  /** @param observe - called with the milliseconds between two texts of one sequence */
  constructor(observe: (ms: number) => void) {
    this.#observe = observe;
  }

  /**
   * Texts arrived together; those of one sequence share the time since its previous text.
   * @param ids - the sequence of each text
   */
  note(ids: Iterable<number>, now = performance.now()): void {
    const counts = new Map<number, number>();
    for (const id of ids) counts.set(id, (counts.get(id) ?? 0) + 1);
    for (const [id, count] of counts) {
      const lastAt = this.#lastAt.get(id);
      this.#lastAt.set(id, now);
      if (lastAt === undefined) continue;
      for (let i = 0; i < count; i++) this.#observe((now - lastAt) / count);
    }
  }

  /** A sequence ended. */
  forget(id: number): void {
    this.#lastAt.delete(id);
  }
}
