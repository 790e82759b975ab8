import { GatewayError } from '../../core/errors.ts';

/** Aborts what takes too long: the engine stops at its next step, and the reason becomes the reply's. */
export class Deadline {
  readonly #timeoutMs: number;
  readonly #controller: AbortController;
  #timer: NodeJS.Timeout | undefined;

  /** @param of - `timeoutMs`: milliseconds from {@link start} on; 0 is without limit */
  constructor(of: { readonly timeoutMs: number; readonly controller: AbortController }) {
    this.#timeoutMs = of.timeoutMs;
    this.#controller = of.controller;
  }

  /** Only the first call counts. */
  start(): void {
    if (this.#timeoutMs === 0) return;
    this.#timer ??= setTimeout(
      () => this.#controller.abort(new GatewayError('completion_timeout')),
      this.#timeoutMs,
    );
  }

  clear(): void {
    clearTimeout(this.#timer);
  }
}
