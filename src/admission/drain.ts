import { GatewayError } from '../core/errors.ts';

/**
 * Running completions, and how they end when the process is asked to stop: new completions are refused, running
 * ones may finish, and at the deadline the rest is aborted.
 */
export class Drain {
  readonly #running = new Set<AbortController>();
  readonly #idleWaiters: (() => void)[] = [];
  #draining = false;

  get draining(): boolean {
    return this.#draining;
  }

  get runningCount(): number {
    return this.#running.size;
  }

  /**
   * Registers one completion; call the returned function when it is over, however it ended.
   * @throws {GatewayError} `shutting_down` once draining
   */
  enter(controller: AbortController): () => void {
    if (this.#draining) throw new GatewayError('shutting_down');
    this.#running.add(controller);
    return () => {
      this.#running.delete(controller);
      if (this.#running.size === 0) for (const wake of this.#idleWaiters.splice(0)) wake();
    };
  }

  /**
   * Refuses new completions and waits for the running ones. After `timeoutMs` the rest is aborted with
   * `shutting_down` as the reason and awaited for `graceMs` more at most.
   * @returns how many completions had to be aborted
   */
  async finish(timeoutMs: number, graceMs = 5000): Promise<number> {
    this.#draining = true;
    if (await this.#idleWithin(timeoutMs)) return 0;
    const abortedCount = this.#running.size;
    for (const controller of this.#running) controller.abort(new GatewayError('shutting_down'));
    await this.#idleWithin(graceMs);
    return abortedCount;
  }

  async #idleWithin(timeoutMs: number): Promise<boolean> {
    if (this.#running.size === 0) return true;
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), timeoutMs);
      this.#idleWaiters.push(() => {
        clearTimeout(timer);
        resolve(true);
      });
    });
  }
}
