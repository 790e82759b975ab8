/** A gateway that was ready for this long has recovered: earlier failures no longer count. */
const steadyMs = 60_000;
const firstDelayMs = 500;
const maxDelayMs = 30_000;

/** Decides whether, and how soon, a crashed gateway is started again. */
export class RestartPolicy {
  readonly #limit: number;
  #failureCount = 0;

  /** @param limit - restarts in a row; 0: none */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /**
   * @param readyMs - how long the gateway was ready before it crashed; 0 if it never was
   * @returns milliseconds to wait, or undefined to give up
   */
  delayAfter(readyMs: number): number | undefined {
    this.#failureCount = readyMs >= steadyMs ? 1 : this.#failureCount + 1;
    if (this.#failureCount > this.#limit) return undefined;
    return Math.min(firstDelayMs * 2 ** (this.#failureCount - 1), maxDelayMs);
  }
}
