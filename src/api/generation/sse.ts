import { Readable } from 'node:stream';
import type { GatewayError } from '../../core/errors.ts';

/** Ends a stream that came to its end; one that failed does not have it. */
export const doneFrame = 'data: [DONE]\n\n';

/** One event. JSON has no raw line breaks, so content cannot forge a frame. */
export function frame(data: object): string {
  return `data: ${JSON.stringify(data)}\n\n`;
}

/** Tells a client whose headers are already sent that its request failed. */
export function errorFrame(error: GatewayError): string {
  return frame(error.toBody());
}

/** A comment, which clients skip. It keeps those in between from closing a connection that is silent. */
export const pingFrame = ': ping\n\n';

/** How long a stream may be silent before a ping: well below what proxies wait for. */
export const pingIntervalMs = 5000;

/** Keeps proxies from holding frames back. */
export const streamHeaders = {
  'cache-control': 'no-cache',
  'x-accel-buffering': 'no',
} as const;

/** Characters that are collected at most before they are written: Node's own high-water mark. */
const writeSize = 16_384;

/**
 * A response body made of frames. Frames that are ready in the same turn of the event loop become one
 * write. Nothing is pulled while the client does not read, so the engine pauses with it; once `signal`
 * aborts, what is left is pulled regardless, so that the source comes to its end. A client that waits
 * longer than {@link pingIntervalMs} gets a ping.
 */
export class FrameStream extends Readable {
  readonly #frames: AsyncGenerator<string, void, undefined>;
  readonly #signal: AbortSignal;
  #ready = '';
  #pulling = false;
  #wanted = false;
  /** Begins anew with each write. */
  readonly #pings: NodeJS.Timeout;

  /**
   * @param head - Frames that are known already.
   * @param frames - Must have been started: a generator that never ran skips its `finally`.
   */
  constructor(head: string, frames: AsyncGenerator<string, void, undefined>, signal: AbortSignal) {
    // Texts go to the socket as they are, and are not made into buffers on the way.
    super({ objectMode: true, highWaterMark: 1 });
    this.#frames = frames;
    this.#signal = signal;
    this.#ready = head;
    signal.addEventListener('abort', () => this._read(), { once: true });
    this.#pings = setInterval(() => this.#ping(), pingIntervalMs);
  }

  override _read(): void {
    this.#wanted = true;
    if (!this.#pulling) void this.#pull();
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    clearInterval(this.#pings);
    this.#endFrames().then(() => callback(error), callback);
  }

  /** A source whose client is gone ends by itself and says how; any other is made to end. */
  async #endFrames(): Promise<void> {
    if (!this.#signal.aborted) {
      await this.#frames.return();
      return;
    }
    while ((await this.#frames.next()).done !== true);
  }

  async #pull(): Promise<void> {
    this.#pulling = true;
    try {
      // By way of a microtask, or the tick would come before the first frame that is ready.
      if (this.#ready !== '') queueMicrotask(() => process.nextTick(this.#flush));
      while (this.#wanted || this.#signal.aborted) {
        const next = await this.#frames.next();
        if (this.destroyed) return;
        if (next.done === true) {
          this.#flush();
          clearInterval(this.#pings);
          this.push(null);
          return;
        }
        // Runs after all promises that are already settled, so after every frame that is ready.
        if (this.#ready === '') process.nextTick(this.#flush);
        this.#ready += next.value;
        if (this.#ready.length >= writeSize) this.#flush();
      }
    } catch (error) {
      this.destroy(error as Error);
    } finally {
      this.#pulling = false;
    }
  }

  readonly #flush = (): void => {
    if (this.#ready === '' || this.destroyed) return;
    const text = this.#ready;
    this.#ready = '';
    this.#pings.refresh();
    this.#wanted = this.push(text);
  };

  /** Always between two frames: what is written are whole ones. */
  #ping(): void {
    if (!this.#wanted) return;
    this.#ready += pingFrame;
    this.#flush();
  }
}
