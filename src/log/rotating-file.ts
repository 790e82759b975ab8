import { closeSync, fstatSync, openSync, renameSync, rmSync, write, writeSync } from 'node:fs';
import { promisify } from 'node:util';

/** When a file is rotated, and how many are kept. */
export interface RotationLimits {
  /** 0: never. */
  readonly maxBytes: number;
  /** The current file included. */
  readonly maxFiles: number;
}

const writeTo = promisify(write);

/** Owner and group: logs name clients. */
const fileMode = 0o640;

/** Characters that may wait for a slow disk; further lines are lost. */
const maxPendingLength = 8 * 2 ** 20;

/**
 * A file to which lines are appended without waiting for the disk. A file that grows too large becomes `<path>.1`, and
 * each older one gets the next number.
 */
export class RotatingFile {
  readonly #path: string;
  readonly #limits: RotationLimits;
  readonly #onFailure: (error: unknown) => void;
  #fd: number | undefined;
  #sizeBytes = 0;
  #pending: string[] = [];
  #pendingLength = 0;
  #flushing: Promise<void> | undefined;
  #reopenWanted = false;

  /**
   * @param onFailure - called once, when a file that could be opened can no longer be written
   * @throws the error of the file system when the file cannot be opened
   */
  constructor(path: string, limits: RotationLimits, onFailure: (error: unknown) => void) {
    this.#path = path;
    this.#limits = limits;
    this.#onFailure = onFailure;
    this.#open();
  }

  /** @param text - whole lines */
  write(text: string): void {
    if (this.#fd === undefined || this.#pendingLength + text.length > maxPendingLength) return;
    this.#pending.push(text);
    this.#pendingLength += text.length;
    this.#flushing ??= this.#flush();
  }

  /** Continues in a new file of the same name, after the old file was moved away. */
  reopen(): void {
    if (this.#fd === undefined) return;
    this.#reopenWanted = true;
    this.#flushing ??= this.#flush();
  }

  /** Waits until everything is written. */
  async close(): Promise<void> {
    await this.#flushing;
    this.#release();
  }

  /** Writes waiting lines synchronously; for a process that is about to exit. */
  flushSync(): void {
    const text = this.#takePending();
    try {
      if (this.#fd !== undefined && text !== '') writeSync(this.#fd, text);
    } catch {
      // The process ends: there is no place left to report it.
    }
  }

  async #flush(): Promise<void> {
    // Lines of the same turn of the event loop become one write.
    await Promise.resolve();
    try {
      while (this.#pending.length > 0 || this.#reopenWanted) {
        if (this.#reopenWanted) this.#open();
        await this.#append(Buffer.from(this.#takePending()));
        const { maxBytes } = this.#limits;
        if (maxBytes > 0 && this.#sizeBytes >= maxBytes) this.#rotate();
      }
    } catch (error) {
      this.#release();
      this.#onFailure(error);
    } finally {
      this.#flushing = undefined;
    }
  }

  async #append(bytes: Buffer): Promise<void> {
    let written = 0;
    while (written < bytes.length && this.#fd !== undefined) {
      const { bytesWritten } = await writeTo(this.#fd, bytes, written);
      written += bytesWritten;
    }
    this.#sizeBytes += written;
  }

  #takePending(): string {
    const text = this.#pending.join('');
    this.#pending = [];
    this.#pendingLength = 0;
    return text;
  }

  #rotate(): void {
    const numbered = (number: number) => (number === 0 ? this.#path : `${this.#path}.${number}`);
    rmSync(numbered(this.#limits.maxFiles - 1), { force: true });
    for (let number = this.#limits.maxFiles - 2; number >= 0; number--) {
      try {
        renameSync(numbered(number), numbered(number + 1));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      }
    }
    this.#open();
  }

  #open(): void {
    this.#release();
    this.#reopenWanted = false;
    this.#fd = openSync(this.#path, 'a', fileMode);
    this.#sizeBytes = fstatSync(this.#fd).size;
  }

  #release(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }
}
