/**
 * One file from a server to the disk: goes on where an earlier attempt was cut, tries again while bytes still come, and
 * gives the file its name only when all its bytes are right.
 */
import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import {
  type FileHandle,
  mkdir,
  open,
  readFile,
  rename,
  statfs,
  unlink,
  writeFile,
} from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { kindOfFile } from '../model/gguf-header.ts';

export interface DownloadOptions {
  readonly url: URL;
  /** Sent to the server of the URL, and to no other that it redirects to. */
  readonly headers?: Readonly<Record<string, string>>;
  /** The file, a model; its folder is created. Until it is whole, `PATH.part` has what has come. */
  readonly path: string;
  /** Undefined: as many as the server says. */
  readonly sizeBytes?: number | undefined;
  /** In hexadecimal digits; undefined: the size alone is checked. */
  readonly sha256?: string | undefined;
  /** @param totalBytes - 0 while it is not known */
  readonly onProgress: (doneBytes: number, totalBytes: number) => void;
  /** Called before another attempt. */
  readonly onRetry: (reason: string, waitMs: number) => void;
  readonly signal: AbortSignal;
  /** Shorter in tests. */
  readonly timing?: DownloadTiming;
}

export interface DownloadTiming {
  /** A connection that is silent for longer is given up. */
  readonly silenceMs: number;
  /** The waits between attempts that bring no byte; after the last of them the download fails. */
  readonly waitsMs: readonly number[];
}

const defaultTiming: DownloadTiming = {
  silenceMs: 60_000,
  waitsMs: [1000, 2000, 5000, 10_000, 30_000],
};

/** Why a download cannot succeed. */
export class DownloadError extends Error {
  /** Of the reply; undefined where there was none. */
  readonly status: number | undefined;
  /** The hub's word for it, of the header `x-error-code`. */
  readonly errorCode: string | undefined;

  constructor(
    message: string,
    detail: { status?: number; errorCode?: string | undefined; cause?: unknown } = {},
  ) {
    super(message, { cause: detail.cause });
    this.status = detail.status;
    this.errorCode = detail.errorCode;
  }
}

/** A failure after which another attempt may succeed. */
class Interruption extends Error {
  readonly waitMs: number | undefined;

  constructor(message: string, waitMs?: number) {
    super(message);
    this.waitMs = waitMs;
  }
}

/** @throws {DownloadError}; the signal's reason when it aborts */
export async function download(options: DownloadOptions): Promise<void> {
  const { path, signal, onRetry, timing = defaultTiming } = options;
  await mkdir(dirname(path), { recursive: true });
  const partial = await PartialFile.open(`${path}.part`);
  try {
    await partial.resume(options.sha256 !== undefined);
    for (let failures = 0; ; ) {
      const before = partial.sizeBytes;
      try {
        await receive(partial, options, timing);
        await finish(partial, options);
        return;
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof Interruption)) throw error;
        if (partial.sizeBytes > before) failures = 0;
        const planned = timing.waitsMs[failures];
        if (planned === undefined) throw new DownloadError(error.message, { cause: error });
        failures += 1;
        const waitMs = Math.max(planned, error.waitMs ?? 0);
        onRetry(error.message, waitMs);
        await sleep(waitMs, undefined, { signal });
      }
    }
  } finally {
    await partial.close();
  }
}

/** The bytes that have come so far, and what is known about them. */
class PartialFile {
  readonly path: string;
  readonly #file: FileHandle;
  #hash: Hash = createHash('sha256');
  sizeBytes = 0;
  /** How often all bytes were there, and were not the file. */
  wrongCount = 0;
  /** The version of the file that the bytes belong to; undefined where the server names none. */
  version: string | undefined;

  private constructor(path: string, file: FileHandle) {
    this.path = path;
    this.#file = file;
  }

  static async open(path: string): Promise<PartialFile> {
    return new PartialFile(path, await open(path, 'a+', 0o644));
  }

  /**
   * Goes on with what an earlier process has left.
   * @param isHashed - the bytes are checked in the end; others are kept only if their version is known
   */
  async resume(isHashed: boolean): Promise<void> {
    this.version = await readFile(this.#versionPath, 'utf8').catch(() => undefined);
    if (!isHashed && this.version === undefined) await this.restart();
    for await (const bytes of createReadStream(this.path)) {
      this.#hash.update(bytes as Buffer);
      this.sizeBytes += (bytes as Buffer).length;
    }
  }

  async restart(): Promise<void> {
    await this.#file.truncate(0);
    this.#hash = createHash('sha256');
    this.sizeBytes = 0;
    await this.setVersion(undefined);
  }

  async setVersion(version: string | undefined): Promise<void> {
    this.version = version;
    if (version === undefined) await unlink(this.#versionPath).catch(() => {});
    else await writeFile(this.#versionPath, version);
  }

  async append(bytes: Uint8Array): Promise<void> {
    await this.#file.appendFile(bytes);
    this.#hash.update(bytes);
    this.sizeBytes += bytes.length;
  }

  /** In hexadecimal digits. Nothing can be appended afterwards. */
  sha256(): string {
    return this.#hash.copy().digest('hex');
  }

  /** The first bytes. */
  async head(): Promise<string> {
    const { buffer, bytesRead } = await this.#file.read(Buffer.alloc(64), 0, 64, 0);
    return buffer.toString('latin1', 0, bytesRead);
  }

  /**
   * Gives the file its name, when its bytes are on the disk.
   * @throws {Interruption} where another process has written to it
   */
  async moveTo(path: string): Promise<void> {
    await this.#file.sync();
    const { size } = await this.#file.stat();
    if (size !== this.sizeBytes) {
      await this.restart();
      throw new Interruption('another program has written to the file');
    }
    await rename(this.path, path);
    await this.setVersion(undefined);
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  get #versionPath(): string {
    return `${this.path}.version`;
  }
}

/** One attempt: from the byte that is missing to the last. */
async function receive(
  partial: PartialFile,
  options: DownloadOptions,
  { silenceMs }: DownloadTiming,
): Promise<void> {
  const { url, headers, sizeBytes, onProgress } = options;
  if (sizeBytes !== undefined && partial.sizeBytes > sizeBytes) await partial.restart();
  if (sizeBytes !== undefined && partial.sizeBytes === sizeBytes) return;
  const silence = new Silence(silenceMs);
  try {
    const begin = partial.sizeBytes;
    const response = await fetch(url, {
      headers: {
        ...headers,
        // A compressed file has no ranges.
        'accept-encoding': 'identity',
        ...(begin > 0 && {
          range: `bytes=${begin}-`,
          ...(partial.version !== undefined && { 'if-range': partial.version }),
        }),
      },
      signal: AbortSignal.any([options.signal, silence.signal]),
    }).catch((error: unknown) => {
      throw new Interruption(silence.isOver ? silence.message : connectionFailure(url, error));
    });
    const totalBytes = await begun(response, partial, options);
    await requireSpace(dirname(partial.path), (totalBytes ?? 0) - partial.sizeBytes);
    onProgress(partial.sizeBytes, totalBytes ?? 0);
    await receiveBody(response, partial, { totalBytes, silence, onProgress });
    if (totalBytes === undefined || partial.sizeBytes === totalBytes) return;
    throw new Interruption(`the server ended after ${partial.sizeBytes} of ${totalBytes} bytes`);
  } finally {
    silence.end();
  }
}

/**
 * Reads the head of a reply.
 * @returns the bytes of the whole file; undefined where nobody says
 */
async function begun(
  response: Response,
  partial: PartialFile,
  { url, sizeBytes }: DownloadOptions,
): Promise<number | undefined> {
  const { status, headers } = response;
  if (status === 416) {
    await response.body?.cancel();
    await partial.restart();
    throw new Interruption('the server has no such range of the file');
  }
  if (status !== 200 && status !== 206) throw await refusal(response, url);
  const range = /^bytes (\d+)-\d+\/(\d+)$/.exec(headers.get('content-range') ?? '');
  if (status === 206 && Number(range?.[1]) !== partial.sizeBytes) {
    await response.body?.cancel();
    await partial.restart();
    throw new Interruption('the server sent another range than the one that is missing');
  }
  // The whole file, from its first byte.
  if (status === 200 && partial.sizeBytes > 0) await partial.restart();
  const version = headers.get('etag') ?? headers.get('last-modified') ?? undefined;
  // A weak tag does not promise the same bytes.
  await partial.setVersion(version?.startsWith('W/') ? undefined : version);
  const length = headers.get('content-length');
  const said = status === 206 ? Number(range?.[2]) : length === null ? undefined : Number(length);
  if (said !== undefined && sizeBytes !== undefined && said !== sizeBytes) {
    await response.body?.cancel();
    throw new DownloadError(`the file has ${said} bytes there instead of ${sizeBytes}`);
  }
  return sizeBytes ?? said;
}

async function receiveBody(
  { body }: Response,
  partial: PartialFile,
  run: {
    readonly totalBytes: number | undefined;
    readonly silence: Silence;
    readonly onProgress: DownloadOptions['onProgress'];
  },
): Promise<void> {
  const { totalBytes, silence, onProgress } = run;
  if (body === null) return;
  const reader = body.getReader();
  for (;;) {
    const { done, value } = await reader.read().catch((error: unknown) => {
      throw new Interruption(
        silence.isOver ? silence.message : `the connection was cut: ${reasonOf(error)}`,
      );
    });
    if (done) return;
    silence.heard();
    if (totalBytes !== undefined && partial.sizeBytes + value.length > totalBytes) {
      await reader.cancel();
      await partial.restart();
      throw new Interruption(`the server sent more than the ${totalBytes} bytes of the file`);
    }
    await partial.append(value).catch((error: unknown) => {
      throw new DownloadError(`the file cannot be written: ${reasonOf(error)}`, { cause: error });
    });
    onProgress(partial.sizeBytes, totalBytes ?? 0);
  }
}

async function finish(partial: PartialFile, { path, sha256, url }: DownloadOptions): Promise<void> {
  if (sha256 !== undefined && partial.sha256() !== sha256) {
    await partial.restart();
    partial.wrongCount += 1;
    const message = `what came from ${url.host} is not the file: its SHA-256 is another one`;
    // Once is a cut that nobody noticed, or a disk; twice is the server.
    throw partial.wrongCount > 1 ? new DownloadError(message) : new Interruption(message);
  }
  const head = await partial.head();
  if (!head.startsWith('GGUF')) {
    await partial.restart();
    throw new DownloadError(`what came ${kindOfFile(head)}`);
  }
  await partial.moveTo(path);
}

/**
 * @param folder - which may not be there yet
 * @throws {DownloadError} before a disk is filled in vain
 */
export async function requireSpace(folder: string, missingBytes: number): Promise<void> {
  const stats = await statfs(folder).catch(() => undefined);
  if (stats === undefined && dirname(folder) !== folder) {
    return requireSpace(dirname(folder), missingBytes);
  }
  const free = stats === undefined ? Number.POSITIVE_INFINITY : stats.bavail * stats.bsize;
  if (missingBytes <= free) return;
  throw new DownloadError(
    `${folder} has ${inGigabytes(free)} free, and ${inGigabytes(missingBytes)} are still to come`,
  );
}

/** The failure that a status means: some pass. */
async function refusal(response: Response, url: URL): Promise<Error> {
  const { status, headers } = response;
  await response.body?.cancel();
  const after = Number(headers.get('retry-after'));
  const waitMs = Number.isFinite(after) ? after * 1000 : undefined;
  const message = `${url.host} answers ${status}`;
  if (status === 408 || status === 429 || status >= 500) return new Interruption(message, waitMs);
  return new DownloadError(message, {
    status,
    errorCode: headers.get('x-error-code') ?? undefined,
  });
}

/** Aborts when nothing has been heard for a while. */
class Silence {
  readonly #controller = new AbortController();
  readonly #ms: number;
  #timer: NodeJS.Timeout;

  constructor(ms: number) {
    this.#ms = ms;
    this.#timer = this.#start();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get isOver(): boolean {
    return this.#controller.signal.aborted;
  }

  get message(): string {
    return `nothing came for ${this.#ms / 1000} seconds`;
  }

  heard(): void {
    clearTimeout(this.#timer);
    this.#timer = this.#start();
  }

  end(): void {
    clearTimeout(this.#timer);
  }

  #start(): NodeJS.Timeout {
    return setTimeout(() => this.#controller.abort(), this.#ms);
  }
}

function connectionFailure(url: URL, error: unknown): string {
  return `${url.host} cannot be reached: ${reasonOf(error)}`;
}

/** The innermost reason: `fetch` hides it behind "fetch failed". */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.cause instanceof Error) return reasonOf(error.cause);
  const code = 'code' in error ? String(error.code) : undefined;
  return error.message === '' ? (code ?? error.name) : error.message;
}

export function inGigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(bytes < 1e9 ? 2 : 1)} GB`;
}
