import { readSync } from 'node:fs';

/** An invalid file; the message completes a sentence that begins with its path. */
export class GgufFormatError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'GgufFormatError';
  }
}

/** Bytes read from the file at once. */
const windowSize = 256 * 1024;
/** Maximum size of a header, far above real ones (large vocabularies take about 10 MB). It bounds the work on a corrupt one. */
const maxHeaderBytes = 256 * 1024 * 1024;

/** Reads little-endian values in order, never past the end, one window of the file at a time. */
export class GgufReader {
  readonly #descriptor: number;
  readonly #sizeBytes: number;
  #window = Buffer.alloc(0);
  /** Offset in the file of the window's first byte. */
  #windowStart = 0;
  #offset = 0;

  constructor(descriptor: number, fileSizeBytes: number) {
    this.#descriptor = descriptor;
    this.#sizeBytes = Math.min(fileSizeBytes, maxHeaderBytes);
  }

  get offset(): number {
    return this.#offset;
  }

  get remaining(): number {
    return this.#sizeBytes - this.#offset;
  }

  skip(byteCount: number): void {
    if (byteCount > this.remaining) {
      throw new GgufFormatError(
        `is truncated or corrupt: its header goes on for ${byteCount} bytes at offset ` +
          `${this.#offset}, but ends at ${this.#sizeBytes}`,
      );
    }
    this.#offset += byteCount;
  }

  bytes(byteCount: number): Buffer {
    const start = this.#offset;
    this.skip(byteCount);
    const from = start - this.#windowStart;
    if (from >= 0 && from + byteCount <= this.#window.length) {
      return this.#window.subarray(from, from + byteCount);
    }
    this.#fill(start, Math.max(byteCount, Math.min(windowSize, this.#sizeBytes - start)));
    return this.#window.subarray(0, byteCount);
  }

  uint32(): number {
    return this.bytes(4).readUInt32LE();
  }

  /**
   * A 64-bit count, length or offset. A number beyond 2^53 is invalid.
   * @throws {GgufFormatError}
   */
  uint64(): number {
    const value = this.bytes(8).readBigUInt64LE();
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) {
      throw new GgufFormatError(`is corrupt: its header holds the impossible count ${value}`);
    }
    return Number(value);
  }

  /** A string of at most `maxBytes`; a longer one throws. */
  string(maxBytes: number): string {
    const length = this.uint64();
    if (length > maxBytes) {
      throw new GgufFormatError(
        `is corrupt: a name in its header has ${length} bytes, at most ${maxBytes} are allowed`,
      );
    }
    return this.bytes(length).toString('utf8');
  }

  skipString(): void {
    this.skip(this.uint64());
  }

  #fill(start: number, byteCount: number): void {
    const buffer = Buffer.allocUnsafe(byteCount);
    let filled = 0;
    while (filled < byteCount) {
      const count = readSync(this.#descriptor, buffer, filled, byteCount - filled, start + filled);
      if (count === 0) throw new GgufFormatError('became shorter while it was read');
      filled += count;
    }
    this.#window = buffer;
    this.#windowStart = start;
  }
}
