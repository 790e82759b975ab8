import { Readable } from 'node:stream';
import type { GatewayError } from '../../core/errors.ts';
import { ClientGone } from './disconnect.ts';

/** The last frame of a complete stream; a failed stream does not have it. */
export const doneFrame = 'data: [DONE]\n\n';

/** One event. JSON has no raw line breaks, so content cannot forge a frame. */
export function frame(data: object): string {
  return `data: ${JSON.stringify(data)}\n\n`;
}

/** One event of a stream whose events have names. */
export function namedFrame(name: string, data: object): string {
  return `event: ${name}\n${frame(data)}`;
}

/** Reports a failure to a client that already has the headers. */
export function errorFrame(error: GatewayError): string {
  return frame(error.toBody());
}

/** A comment, which clients skip. It keeps proxies from closing a silent connection. */
export const pingFrame = ': ping\n\n';

/** Time of silence before a ping: well below the timeouts of proxies. */
export const pingIntervalMs = 5000;

/** Keeps proxies from buffering frames. */
export const streamHeaders = {
  'cache-control': 'no-cache',
  'x-accel-buffering': 'no',
} as const;

/** Characters collected before they are written: Node's own high-water mark. */
const maxReadyLength = 16_384;

/**
 * The body of a streamed reply. Frames of one turn of the event loop become one write. While the client does not read,
 * {@link send} returns a promise, so that the engine pauses the sequence. After the abort of `controller` it returns
 * undefined, so that the job can end. A client that reads, but receives nothing for {@link pingIntervalMs}, receives a
 * ping.
 */
export class FrameStream extends Readable {
  readonly #controller: AbortController;
  #ready = '';
  /** The client reads: the stream's buffer is empty. */
  #wanted = false;
  #ended = false;
  /** Resolves when the client reads again. */
  #reading: Promise<void> | undefined;
  #resolveReading = () => {};
  /** Restarts with each write. */
  readonly #pings: NodeJS.Timeout;

  readonly #pingFrame: string;

  /** @param controller - of the job; aborted when the stream is destroyed */
  constructor(controller: AbortController, ping = pingFrame) {
    // Texts go to the socket as they are, without becoming buffers on the way.
    super({ objectMode: true, highWaterMark: 1 });
    this.#controller = controller;
    this.#pingFrame = ping;
    controller.signal.addEventListener('abort', () => this.#resume(), { once: true });
    this.#pings = setInterval(() => this.#ping(), pingIntervalMs);
  }

  /** @returns a promise that resolves when the client reads again; undefined while it does */
  send(frames: string): Promise<void> | undefined {
    if (frames !== '' && !this.destroyed) {
      // A tick runs after the callbacks of all settled promises, which may add frames to the same write.
      if (this.#ready === '' && this.#wanted) process.nextTick(this.#flush);
      this.#ready += frames;
      if (this.#wanted && this.#ready.length >= maxReadyLength) this.#flush();
    }
    if (this.#wanted || this.#controller.signal.aborted) return undefined;
    this.#reading ??= new Promise((resolve) => {
      this.#resolveReading = resolve;
    });
    return this.#reading;
  }

  /** Ends the stream with the last frames. */
  end(frames: string): void {
    if (this.destroyed || this.#ended) return;
    this.#ended = true;
    this.#ready += frames;
    this.#flush();
    clearInterval(this.#pings);
    this.push(null);
  }

  override _read(): void {
    this.#wanted = true;
    this.#resume();
    // The resumed job adds its frames in a microtask. The microtask here puts the tick behind it.
    if (this.#ready !== '') queueMicrotask(() => process.nextTick(this.#flush));
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    clearInterval(this.#pings);
    this.#controller.abort(new ClientGone());
    callback(error);
  }

  #resume(): void {
    this.#reading = undefined;
    this.#resolveReading();
  }

  readonly #flush = (): void => {
    if (this.#ready === '' || this.destroyed) return;
    const text = this.#ready;
    this.#ready = '';
    this.#pings.refresh();
    this.#wanted = this.push(text);
  };

  /** Always between two frames, because writes are whole frames. */
  #ping(): void {
    if (!this.#wanted) return;
    this.#ready += this.#pingFrame;
    this.#flush();
  }
}
