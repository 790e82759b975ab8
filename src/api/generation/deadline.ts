import { GatewayError } from '../../core/errors.ts';

/** Aborts a job that takes too long, with `completion_timeout` as the reason. */
export class Deadline {
  readonly #timeoutMs: number;
  readonly #controller: AbortController;
  #timer: NodeJS.Timeout | undefined;

  /** @param timeoutMs - milliseconds from {@link start} on; 0 is without limit */
  constructor(timeoutMs: number, controller: AbortController) {
    this.#timeoutMs = timeoutMs;
    this.#controller = controller;
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
