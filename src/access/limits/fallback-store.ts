import type { Logger } from '../../log/log.ts';
import type { LimitStore, WindowBounds, WindowEntry } from './limit-store.ts';

/**
 * Counts in a shared store, and in this process only while the shared store fails: limits then apply to each server by
 * itself, so that a failure neither refuses nor admits requests.
 */
export class FallbackStore implements LimitStore {
  readonly #shared: LimitStore;
  readonly #own: LimitStore;
  readonly #logger: Logger;
  #failing = false;

  constructor(shared: LimitStore, own: LimitStore, logger: Logger) {
    this.#shared = shared;
    this.#own = own;
    this.#logger = logger;
  }

  take(window: string, entry: WindowEntry, bounds: WindowBounds) {
    return this.#either((store) => store.take(window, entry, bounds));
  }

  settle(window: string, entry: WindowEntry, windowMs: number) {
    return this.#either((store) => store.settle(window, entry, windowMs));
  }

  addToTotal(
    name: string,
    amount: number,
    bounds: { readonly limit: number; readonly lifetimeMs: number },
  ) {
    return this.#either((store) => store.addToTotal(name, amount, bounds));
  }

  async close(): Promise<void> {
    await this.#shared.close();
    await this.#own.close();
  }

  async #either<T>(count: (store: LimitStore) => Promise<T>): Promise<T> {
    try {
      const result = await count(this.#shared);
      if (this.#failing) this.#logger.info('limits are shared again');
      this.#failing = false;
      return result;
    } catch (error) {
      // Once per failure of the store, not per request.
      if (!this.#failing) {
        this.#logger.error({ err: error }, 'limits are counted by this server alone');
      }
      this.#failing = true;
      return count(this.#own);
    }
  }
}
